package accounts

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"unicode/utf8"

	"postern/internal/platform/passhash"
)

// Lengths of passwords, in characters and in bytes.
const (
	passwordLeast = 12
	passwordMost  = 256
)

// commonest begin the lists of passwords that guessers try, as far as they are long enough.
func commonest() []string {
	return []string{"password", "passwort", "qwertyuiop", "qwertzuiop", "123456789012", "1234567890", "administrator",
		"letmein", "iloveyou", "welcome", "postern", "changeme", "abcdefghijkl", "111111111111", "000000000000"}
}

// checkPassword refuses what is quickly guessed.
func checkPassword(name, password string) error {
	if utf8.RuneCountInString(password) < passwordLeast {
		return bad("a password has at least %d characters; a sentence is easy to remember", passwordLeast)
	}
	if len(password) > passwordMost {
		return bad("a password has at most %d bytes", passwordMost)
	}
	low := strings.ToLower(password)
	if name != "" && strings.Contains(low, strings.ToLower(name)) && len(password) < len(name)+passwordLeast {
		return bad("the password is hardly more than the name")
	}
	if slices.Contains(commonest(), strings.TrimRight(low, "0123456789!.?#$")) || slices.Contains(commonest(), low) {
		return bad("this password is among the first that guessers try")
	}
	var kinds []rune
	for _, r := range low {
		if !slices.Contains(kinds, r) {
			kinds = append(kinds, r)
		}
	}
	if len(kinds) < 5 {
		return bad("the password has fewer than 5 different characters")
	}
	return nil
}

// hash returns the text that keeps a password, when its turn has come.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	if err := turn(ctx, s.cfg.Hashing); err != nil {
		return "", err
	}
	defer func() { <-s.cfg.Hashing }()
	salt := make([]byte, passhash.SaltLength)
	rand.Read(salt)
	return s.cfg.Cost.New(password, salt), nil
}

// examine holds a password against an account's, in the time of any other, and tells the throttle how it went.
func (s *Service) examine(ctx context.Context, try *attempt, a *Account, password string) (ok bool, err error) {
	if !try.trusted {
		if err := turn(ctx, s.strangers); err != nil {
			try.unexamined()
			return false, err
		}
		defer func() { <-s.strangers }()
	}
	if err := turn(ctx, s.cfg.Hashing); err != nil {
		try.unexamined()
		return false, err
	}
	defer func() { <-s.cfg.Hashing }()
	hash, known := s.cfg.Cost.Nobody(), false
	if h, err := passhash.Parse(a.Password); err == nil {
		hash, known = h, true
	}
	if ok = hash.Matches(password) && known; ok {
		try.succeeded()
	} else {
		try.failed()
	}
	return ok, nil
}

// turn waits for a place in a lane.
func turn(ctx context.Context, lane chan struct{}) error {
	select {
	case lane <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
