package pattern

import (
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"

	"postern/internal/mail"
)

// MaxText is how much of one header value is matched, in octets, as it stands and in its form. A longer one counts as a
// match: what cannot be judged is never read as harmless.
const MaxText = 64 << 10

// Value is one reading of a header field, or what keeps a field from being judged.
type Value struct {
	formed
	Plain string // as it was sent, composed
	grams grams  // of both forms
	Doubt string // why it cannot be judged, as the end of a sentence about the field; it counts as a match
}

// TooLong is the value of a field that has more text than is looked at.
func TooLong(most int) Value {
	return Value{Doubt: fmt.Sprintf("has more than %d bytes, which counts as a match", most)}
}

// NewValues returns every reading of a field, and what keeps it from being judged.
func NewValues(f mail.Field) (out []Value) {
	if f.Len() > MaxText {
		return []Value{TooLong(MaxText)}
	}
	text := f.Text()
	for _, reading := range text.Readings() {
		v := Value{Plain: norm.NFC.String(reading), formed: newFormed(reading)}
		v.Exact, v.Folded = strings.Trim(v.Exact, " "), strings.Trim(v.Folded, " ")
		if len(v.Exact) > MaxText {
			v = TooLong(MaxText)
		} else {
			v.grams.add(v.Exact)
			v.grams.add(v.Folded)
		}
		out = append(out, v)
	}
	if why := text.Unread(); why != "" {
		out = append(out, Value{Doubt: "could not be read as text: " + why + "; counts as a match"})
	}
	return out
}
