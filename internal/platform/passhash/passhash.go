// Package passhash keeps passwords as argon2id (RFC 9106) in the PHC form
// "$argon2id$v=19$m=19456,t=2,p=1$salt$hash", and holds passwords against it.
//
// Ground room: the salt is the caller's.
package passhash

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is what a new hash costs whoever makes or guesses it. The zero value is that of the gateway: 19 MiB and two
// passes, a few tens of milliseconds. Tests of what stands on passwords may take another one.
type Cost struct {
	KiB, Passes uint32
}

// The cost of the gateway, and what no cost changes.
const (
	memory  = 19 * 1024 // KiB
	passes  = 2
	threads = 1
	length  = 32
)

func (c Cost) orUsual() Cost {
	if c == (Cost{}) {
		return Cost{memory, passes}
	}
	return c
}

// SaltLength is how many random bytes New wants.
const SaltLength = 16

// Hash is a parsed hash. The zero value matches no password.
type Hash struct {
	memory, passes uint32
	threads        uint8
	salt, sum      []byte
}

// New returns the text that keeps a password at the gateway's cost. salt is SaltLength random bytes.
func New(password string, salt []byte) string { return Cost{}.New(password, salt) }

// Nobody is Cost.Nobody at the gateway's cost.
func Nobody() Hash { return Cost{}.Nobody() }

// New returns the text that keeps a password. salt is SaltLength random bytes.
func (c Cost) New(password string, salt []byte) string {
	c = c.orUsual()
	sum := argon2.IDKey([]byte(password), salt, c.Passes, c.KiB, threads, length)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.KiB, c.Passes, threads,
		b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// Nobody is a hash that costs what a new one does and that no password is known for: to take as long for a name that
// does not exist as for a wrong password.
func (c Cost) Nobody() Hash {
	c = c.orUsual()
	return Hash{c.KiB, c.Passes, threads, make([]byte, SaltLength), make([]byte, length)}
}

var errHash = errors.New("not an argon2id hash")

// Parse reads the text that keeps a password. What would cost more than 1 GiB or 100 passes to check is refused.
func Parse(text string) (Hash, error) {
	var h Hash
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil {
		return Hash{}, errHash
	}
	var errSalt, errSum error
	h.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	h.sum, errSum = base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errSum != nil || len(h.salt) < 8 || len(h.sum) < 16 || len(h.sum) > 64 {
		return Hash{}, errHash
	}
	if h.memory < 8 || h.memory > 1<<20 || h.passes < 1 || h.passes > 100 || h.threads < 1 {
		return Hash{}, errors.New("an argon2id hash that costs more than this gateway allows (1 GiB, 100 passes)")
	}
	return h, nil
}

// Matches reports whether the hash was made of password. It needs the memory the hash asks for, so callers bound how
// many run at a time.
func (h Hash) Matches(password string) bool {
	if len(h.sum) == 0 {
		return false
	}
	sum := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.threads, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}
