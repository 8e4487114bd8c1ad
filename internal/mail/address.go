package mail

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrAddress is wrapped by every error of ParseAddress.
var ErrAddress = errors.New("not a mail address")

// Address is a mailbox of RFC 5321 §4.1.2. Local is the wire form: a quoted local part keeps its quotes and escapes,
// so that writing the address again sends it where it came from. The zero Address is the null reverse-path "<>".
// A Local without a Domain is only "postmaster" (RFC 5321 §4.5.1). Addresses are comparable with ==, but two spellings
// of one mailbox differ that way: compare Canonical.
type Address struct {
	Local  string
	Domain Domain
}

// ParseAddress reads local@domain. The local part is a quoted string, or letters and dots as they come: addresses with
// dots at an end or in a row exist, and so do local parts over 64 octets (RFC 5321 §4.5.3.1 asks to avoid such limits).
// Non-ASCII letters are allowed (RFC 6531), the caller refuses them where SMTPUTF8 was not asked for (see IsASCII).
func ParseAddress(s string) (Address, error) {
	local, rest, err := cutLocal(s)
	if err != nil {
		return Address{}, err
	}
	domain, ok := strings.CutPrefix(rest, "@")
	if !ok {
		return Address{}, fmt.Errorf("%w: %q has no @domain", ErrAddress, Clip(s, maxShown))
	}
	d, err := ParseDomain(domain)
	if err != nil {
		return Address{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return Address{Local: local, Domain: d}, nil
}

// MustAddress is ParseAddress for constants and tests; it panics on a bad address.
func MustAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// cutLocal splits off the local part and returns what follows it, beginning with "@" in a well-formed address.
func cutLocal(s string) (local, rest string, err error) {
	if !utf8.ValidString(s) {
		return "", "", fmt.Errorf("%w: not valid UTF-8", ErrAddress)
	}
	end := 0
	if strings.HasPrefix(s, `"`) {
		end, err = quotedEnd(s)
	} else {
		end = dotStringEnd(s)
	}
	if err != nil {
		return "", "", err
	}
	if end == 0 {
		return "", "", fmt.Errorf("%w: %q has no local part", ErrAddress, Clip(s, maxShown))
	}
	return s[:end], s[end:], nil
}

func quotedEnd(s string) (int, error) {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return 0, fmt.Errorf("%w: bad escape in a quoted local part", ErrAddress)
			}
		case c < ' ' || c == 0x7f:
			return 0, fmt.Errorf("%w: control character in a quoted local part", ErrAddress)
		}
	}
	return 0, fmt.Errorf("%w: quoted local part is not closed", ErrAddress)
}

func dotStringEnd(s string) int {
	i := 0
	for i < len(s) && (isAtext(s[i]) || s[i] == '.' || s[i] >= 0x80) {
		i++
	}
	return i
}

// isAtext is atext of RFC 5322 §3.2.3.
func isAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// String returns the wire form without angle brackets, "" for the null address.
func (a Address) String() string {
	if a.Domain.IsZero() {
		return a.Local
	}
	return a.Local + "@" + a.Domain.String()
}

// IsNull reports whether a is the null reverse-path.
func (a Address) IsNull() bool { return a == Address{} }

// IsASCII reports whether the wire form needs no SMTPUTF8.
func (a Address) IsASCII() bool { return isASCII(a.Local) }

// Canonical returns the one spelling used for matching: needless quotes and escapes of the local part are removed.
// The case of the local part is kept (RFC 5321 §2.4); rules fold it themselves.
func (a Address) Canonical() string {
	if !strings.HasPrefix(a.Local, `"`) {
		return a.String()
	}
	return Address{Local: requote(a.Mailbox()), Domain: a.Domain}.String()
}

// Mailbox is the local part as its owner reads it: without the quotes and escapes that it is written with (RFC 5321
// §4.1.2).
func (a Address) Mailbox() string {
	if !strings.HasPrefix(a.Local, `"`) {
		return a.Local
	}
	return unquote(a.Local)
}

// Folded is Canonical in lower case: the local part's case, too, is no matter to most servers (RFC 5321 §2.4).
func (a Address) Folded() string { return strings.ToLower(a.Canonical()) }

func unquote(quoted string) string {
	var b strings.Builder
	inner := quoted[1 : len(quoted)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}

func requote(plain string) string {
	if end := dotStringEnd(plain); end == len(plain) && end > 0 {
		return plain
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(plain) + `"`
}

// MarshalText writes the wire form.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote: "" is the null address, a bare local part has no domain.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" {
		*a = Address{}
		return nil
	}
	if local, rest, err := cutLocal(s); err == nil && rest == "" {
		*a = Address{Local: local}
		return nil
	}
	parsed, err := ParseAddress(s)
	if err == nil {
		*a = parsed
	}
	return err
}
