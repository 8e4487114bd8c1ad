package smtp

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PrintableASCII is Printable for where others may show every octet: what is not ASCII stands as "?".
func PrintableASCII(s string, max int) string {
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, Printable(s, max))
}

// Printable makes text that a peer chose safe to show: one line of at most max octets in which control characters,
// invisible and direction-changing characters and broken UTF-8 stand as escapes (\x1b, \u202e). What was cut off is
// shown by "...". Printable of its own result changes nothing.
func Printable(s string, max int) string {
	if len(s) <= max && isPlain(s) {
		return s
	}
	var b strings.Builder
	kept := 0 // length of b up to which "..." still fits
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+size]
		switch {
		case r == utf8.RuneError && size == 1:
			piece = `\x` + hex(uint64(s[i]), 2)
		case unicode.IsPrint(r):
		case r < 0x80:
			piece = `\x` + hex(uint64(r), 2)
		case r > 0xffff:
			piece = `\U` + hex(uint64(r), 8)
		default:
			piece = `\u` + hex(uint64(r), 4)
		}
		if b.Len()+len(piece) > max {
			return b.String()[:kept] + "..."[:min(3, max)]
		}
		b.WriteString(piece)
		if b.Len()+3 <= max {
			kept = b.Len()
		}
		i += size
	}
	return b.String()
}

// isPlain reports whether s is printable ASCII alone.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// hex writes n in lower-case hexadecimal with at least width digits.
func hex(n uint64, width int) string {
	s := strconv.FormatUint(n, 16)
	return strings.Repeat("0", max(0, width-len(s))) + s
}
