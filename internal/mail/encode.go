package mail

import (
	"strings"
	"unicode/utf8"
)

// EncodeText makes text fit an unstructured header field: as it stands where it is plain ASCII, else in encoded words
// (RFC 2047 §5). Text that looks like an encoded word becomes one, so that nobody reads something else in it. The words
// are separated by blanks, at which the caller may fold.
func EncodeText(text string) string {
	if printable(text) && !strings.Contains(text, "=?") {
		return text
	}
	return encodeWords(text)
}

// EncodePhrase makes a name fit in front of an address: a quoted string where it is plain ASCII, else encoded words as
// a phrase may hold them (RFC 5322 §3.4, RFC 2047 §5).
func EncodePhrase(name string) string {
	if printable(name) && !strings.Contains(name, "=?") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	return encodeWords(name)
}

// printable reports whether s is printable ASCII.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

const (
	wordStart = "=?utf-8?q?"
	wordEnd   = "?="
	wordMost  = 75 // octets of an encoded word (RFC 2047 §2)
)

// encodeWords writes encoded words that may stand anywhere, in a phrase too. No character is torn apart.
func encodeWords(s string) string {
	var out strings.Builder
	out.WriteString(wordStart)
	used := len(wordStart)
	for i := 0; i < len(s); {
		_, size := utf8.DecodeRuneInString(s[i:])
		piece := encoded(s[i : i+size])
		if used+len(piece)+len(wordEnd) > wordMost {
			out.WriteString(wordEnd + " " + wordStart)
			used = len(wordStart)
		}
		out.WriteString(piece)
		used += len(piece)
		i += size
	}
	return out.String() + wordEnd
}

// encoded is one character in Q as a phrase may hold it (RFC 2047 §5 (3)): letters, digits and !*+-/ stand for
// themselves.
func encoded(character string) string {
	const hex = "0123456789ABCDEF"
	if character == " " {
		return "_"
	}
	var b strings.Builder
	for i := range len(character) {
		c := character[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!*+-/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("=" + string(hex[c>>4]) + string(hex[c&15]))
	}
	return b.String()
}
