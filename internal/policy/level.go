package policy

import "fmt"

// Level is the short name of a channel's strength, ordered weakest first. The zero value is Plaintext.
type Level uint8

// The levels of design.md §1.
const (
	Plaintext Level = iota
	Encrypted
	Authenticated
)

var levelNames = [...]string{"plaintext", "encrypted", "authenticated"}

// String returns the level's name.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}

// Demand is the level as something that is demanded, for people: to require plaintext is to require nothing.
func (l Level) Demand() string {
	if l == Plaintext {
		return "nothing (best available)"
	}
	return l.String()
}

// ParseLevel reads a level's name.
func ParseLevel(s string) (Level, error) {
	for i, name := range levelNames {
		if s == name {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("unknown level %q, want plaintext, encrypted or authenticated", s)
}

// MarshalText writes the name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the name.
func (l *Level) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLevel(string(text))
	return err
}
