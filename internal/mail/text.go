package mail

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Text is a header field as people read it. The zero value is an empty field. A Text is never changed and is safe for
// concurrent use.
type Text struct {
	readings []string
	unread   string
}

// String returns the likeliest reading, always valid UTF-8: unfolded, encoded words decoded (RFC 2047). An encoded word
// that cannot be decoded stays as it is; octets that are no UTF-8 become U+FFFD.
func (t Text) String() string {
	if len(t.readings) == 0 {
		return ""
	}
	return t.readings[0]
}

// Readings returns the different texts that programs make of the field, the likeliest first, at least one: they do not
// agree where a sender broke a character between encoded words, left out blanks between them, wrote UTF-7 without
// saying so, or used the parameters of RFC 2231 §4. All are valid UTF-8. The slice belongs to t.
func (t Text) Readings() []string {
	if len(t.readings) == 0 {
		return []string{""}
	}
	return t.readings
}

// Unread says why something in the field could not be read as text, so that what people see may differ from every
// reading; "" when all of it was read. It may quote the field, and is at most some 200 octets long.
func (t Text) Unread() string { return t.unread }

// Text reads the field. Its work is linear in Len.
func (f Field) Text() Text { return ReadText(f.Value()) }

// ReadText reads a part of a field, such as the value of a parameter, in the way in which Field.Text reads all of it.
func ReadText(v string) Text {
	if plain(v) {
		return Text{readings: []string{v}}
	}
	t := Text{unread: unreadable(v)}
	var r wordReader
	tokens := r.tokens(v)
	t.add(r.render(tokens, joined))
	if r.adjacent {
		t.add(r.render(tokens, apart))
		t.add(r.render(tokens, spaced))
	}
	if text, ok := decodeUTF7(v); ok {
		t.add(text)
	}
	if text, ok := r.parameters(v); ok {
		t.add(text)
	}
	if t.unread == "" {
		t.unread = r.unread
	}
	return t
}

// add adds a reading that is not there yet.
func (t *Text) add(s string) {
	if s = strings.ToValidUTF8(s, "\uFFFD"); !slices.Contains(t.readings, s) {
		t.readings = append(t.readings, s)
	}
}

// plain reports whether a value has one reading that nobody doubts: printable ASCII without what other forms begin
// with.
func plain(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c > '~' || c == '+' || c == '=' && i+1 < len(v) && v[i+1] == '?' ||
			c == '*' {
			return false
		}
	}
	return true
}

// unreadable says what in a value, as it stands in the message, is no text that says in which charset it is.
func unreadable(v string) string {
	switch {
	case !utf8.ValidString(v):
		return "it has octets that are no UTF-8, and does not say in which charset they are"
	case strings.ContainsAny(v, "\x1b\x0e\x0f"):
		return "it switches character sets by control characters, as ISO 2022 does"
	case strings.ContainsRune(v, 0):
		return "it has NUL octets, as UTF-16 has"
	}
	return ""
}
