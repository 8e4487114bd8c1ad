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

// mendXtext returns s as xtext. What is xtext stays as it is; else hexadecimal digits become upper case, and "+" and
// "=" that stand for themselves are escaped, as "user+tag@host" has it in the field. "" for what has other octets.
func mendXtext(s string) string {
	if isXtext(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isXchar(c):
			b.WriteByte(c)
		case c == '+' && i+2 < len(s) && isPrintableHex(s[i+1:i+3]):
			b.WriteString("+" + strings.ToUpper(s[i+1:i+3]))
			i += 2
		case c == '+' || c == '=':
			b.WriteString(EncodeXtext(s[i : i+1]))
		default:
			return ""
		}
	}
	return b.String()
}

// isPrintableHex reports whether two digits in either case stand for printable ASCII: "+be" in "user+beta" does not.
func isPrintableHex(s string) bool {
	hi, lo := strings.IndexByte(upperHex, upper(s[0])), strings.IndexByte(upperHex, upper(s[1]))
	c := hi<<4 | lo
	return hi >= 0 && lo >= 0 && c > ' ' && c <= '~'
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

func isXchar(c byte) bool { return c >= '!' && c <= '~' && c != '+' && c != '=' }
