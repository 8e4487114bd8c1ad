package passhash

import (
	"strings"
	"testing"
)

func TestHashes(t *testing.T) {
	text := New("correct horse", []byte("0123456789abcdef"))
	h, err := Parse(text)
	if err != nil || !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%q: %v", text, err)
	}
	if !h.Matches("correct horse") || h.Matches("correct horsf") || h.Matches("") {
		t.Error("the wrong passwords match")
	}
	if Nobody().Matches("") || (Hash{}).Matches("") {
		t.Error("nobody has a password")
	}
}

func TestWhatIsNoHash(t *testing.T) {
	good := New("x", make([]byte, SaltLength))
	for _, text := range []string{"", "secret", "$argon2id$v=19$c2VjcmV0", strings.Replace(good, "argon2id", "argon2i", 1),
		strings.Replace(good, "m=19456", "m=19456000", 1), strings.Replace(good, "t=2", "t=0", 1), strings.Replace(good, "p=1", "p=0", 1),
		strings.Replace(good, "v=19", "v=16", 1), good[:len(good)-30], good + "$"} {
		if h, err := Parse(text); err == nil || h.Matches("x") {
			t.Errorf("%q was read", text)
		}
	}
}
