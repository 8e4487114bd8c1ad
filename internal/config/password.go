package config

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost of new hashes: 19 MiB and two passes, a few tens of milliseconds.
const (
	hashMemory  = 19 * 1024 // KiB
	hashTime    = 2
	hashThreads = 1
	hashLength  = 32
)

// SaltLength is how many random bytes HashPassword wants.
const SaltLength = 16

// argonHash is a parsed "$argon2id$v=19$m=...,t=...,p=...$salt$hash".
type argonHash struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte
}

// HashPassword returns the hash to put into the file. salt is SaltLength random bytes.
func HashPassword(password string, salt []byte) string {
	sum := argon2.IDKey([]byte(password), salt, hashTime, hashMemory, hashThreads, hashLength)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashThreads,
		b64.EncodeToString(salt), b64.EncodeToString(sum))
}

var errHash = errors.New("not an argon2id hash")

func parseHash(s string) (argonHash, error) {
	var h argonHash
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return h, errHash
	}
	var errSalt, errSum error
	h.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	h.sum, errSum = base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errSum != nil || len(h.salt) < 8 || len(h.sum) < 16 || len(h.sum) > 64 {
		return h, errHash
	}
	if h.memory < 8 || h.memory > 1<<20 || h.time < 1 || h.time > 100 || h.threads < 1 {
		return h, errors.New("an argon2id hash that costs more than this gateway allows (1 GiB, 100 passes)")
	}
	return h, nil
}

func (h argonHash) matches(password string) bool {
	sum := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// Authenticate reports whether there is a user of that name with that password. It takes as long for a name that does
// not exist as for a wrong password. It needs the memory its hash asks for, so callers bound how many run at a time.
// Safe for concurrent use.
func (c *Config) Authenticate(name, password string) bool {
	hash, known := argonHash{hashMemory, hashTime, hashThreads, make([]byte, SaltLength), make([]byte, hashLength)}, false
	for _, u := range c.User {
		if u.Name != name {
			continue
		}
		if h, err := parseHash(u.PasswordHash); err == nil {
			hash, known = h, true
		}
	}
	return hash.matches(password) && known
}
