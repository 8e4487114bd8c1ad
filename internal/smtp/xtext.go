package smtp

import (
	"errors"
	"fmt"
	"strings"
)

// ErrXtext is wrapped by the errors of DecodeXtext.
var ErrXtext = errors.New("not xtext")

const upperHex = "0123456789ABCDEF"

// EncodeXtext encodes s as xtext (RFC 3461 §4): printable ASCII but "+" and "=" stands for itself.
func EncodeXtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isXchar(c) {
			b.WriteByte(c)
		} else {
			b.WriteString("+" + upperHex[c>>4:c>>4+1] + upperHex[c&15:c&15+1])
		}
	}
	return b.String()
}

// DecodeXtext is the inverse of EncodeXtext. Hexadecimal digits must be upper case (RFC 3461 §4).
func DecodeXtext(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if isXchar(c) {
			b.WriteByte(c)
			continue
		}
		if c != '+' || i+2 >= len(s) {
			return "", fmt.Errorf("%w: character %q at %d", ErrXtext, c, i)
		}
		hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("%w: bad escape at %d", ErrXtext, i)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

func isXchar(c byte) bool { return c >= '!' && c <= '~' && c != '+' && c != '=' }
