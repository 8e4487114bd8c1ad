package mail

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ErrDomain is wrapped by every error of ParseDomain.
var ErrDomain = errors.New("not a domain name")

// Domain is a DNS name or an address literal in its one canonical form: lower case, A-labels (RFC 5890 §2.3.2.1), no
// trailing dot; a literal is "[192.0.2.1]" or "[IPv6:2001:db8::1]". The zero value is "no domain". Domains are
// comparable with == and safe to share.
type Domain struct{ name string }

// fullDots are the characters IDNA treats as label separators besides the full stop (RFC 3490 §3.1).
var fullDots = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// maxSpelling bounds what is looked at: 253 octets of A-labels are never longer in another spelling. Converting labels
// costs more than linear time, and the text may come from anybody.
const maxSpelling = 1024

// maxShown bounds hostile text before it is quoted in an error.
const maxShown = 77

// ParseDomain reads a domain in any spelling: upper case, U-labels, full-width dots, one trailing dot, or an address
// literal in brackets. Underscores, and a hyphen at one end of a label, are accepted because mail hosts in the field
// have them.
func ParseDomain(s string) (Domain, error) {
	if len(s) > maxSpelling {
		return Domain{}, fmt.Errorf("%w: %q has %d octets, want 1 to 253", ErrDomain, Clip(s, maxShown), len(s))
	}
	if strings.HasPrefix(s, "[") {
		return parseLiteral(s)
	}
	name := strings.TrimSuffix(fullDots.Replace(s), ".")
	if !isASCII(name) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil || !utf8.ValidString(name) {
			return Domain{}, fmt.Errorf("%w: %q has a label that IDNA refuses", ErrDomain, Clip(s, maxShown))
		}
		name = ascii
	}
	name = strings.ToLower(name)
	if len(name) == 0 || len(name) > 253 {
		return Domain{}, fmt.Errorf("%w: %q has %d octets, want 1 to 253", ErrDomain, Clip(s, maxShown), len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return Domain{}, fmt.Errorf("%w: %q: %w", ErrDomain, Clip(s, maxShown), err)
		}
	}
	return Domain{name}, nil
}

// MustDomain is ParseDomain for constants and tests; it panics on a bad name.
func MustDomain(s string) Domain {
	d, err := ParseDomain(s)
	if err != nil {
		panic(err)
	}
	return d
}

func checkLabel(label string) error {
	if label == "" {
		return errors.New("empty label")
	}
	if len(label) > 63 {
		return errors.New("label over 63 octets")
	}
	if label[0] == '-' && label[len(label)-1] == '-' || label == "xn--" { // a hyphen at one end is seen in the field
		return errors.New("label begins and ends with a hyphen")
	}
	for i := range len(label) {
		c := label[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			continue
		}
		return fmt.Errorf("character %q in a label", c)
	}
	return nil
}

// parseLiteral reads an address literal (RFC 5321 §4.1.3). General literals of unknown tags are refused. An IPv4
// address inside IPv6 is the IPv4 address it means.
func parseLiteral(s string) (Domain, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return Domain{}, fmt.Errorf("%w: address literal %q lacks the closing bracket", ErrDomain, Clip(s, maxShown))
	}
	v6 := len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:")
	if v6 {
		inner = inner[5:]
	}
	ip, err := netip.ParseAddr(inner)
	if err != nil || ip.Zone() != "" || ip.Is4() == v6 {
		return Domain{}, fmt.Errorf("%w: address literal %q is no IPv4 or IPv6 address", ErrDomain, Clip(s, maxShown))
	}
	if ip = ip.Unmap(); ip.Is6() {
		return Domain{"[IPv6:" + ip.String() + "]"}, nil
	}
	return Domain{"[" + ip.String() + "]"}, nil
}

// String returns the canonical A-label form, "" for the zero Domain.
func (d Domain) String() string { return d.name }

// IsZero reports whether d is no domain.
func (d Domain) IsZero() bool { return d.name == "" }

// Literal returns the address of an address literal; ok is false for a DNS name.
func (d Domain) Literal() (ip netip.Addr, ok bool) {
	if !strings.HasPrefix(d.name, "[") {
		return netip.Addr{}, false
	}
	inner := strings.TrimPrefix(d.name[1:len(d.name)-1], "IPv6:")
	ip, err := netip.ParseAddr(inner)
	return ip, err == nil
}

// Unicode returns the form shown to people: U-labels where they are valid, else the A-labels.
func (d Domain) Unicode() string {
	u, err := idna.Display.ToUnicode(d.name)
	if err != nil {
		return d.name
	}
	return u
}

// Below reports whether d lies below parent by one label or more. A domain is not below itself.
func (d Domain) Below(parent Domain) bool {
	return parent.name != "" && strings.HasSuffix(d.name, "."+parent.name)
}

// MarshalText writes the canonical form.
func (d Domain) MarshalText() ([]byte, error) { return []byte(d.name), nil }

// UnmarshalText parses any spelling; empty text gives the zero Domain.
func (d *Domain) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Domain{}
		return nil
	}
	parsed, err := ParseDomain(string(text))
	if err == nil {
		*d = parsed
	}
	return err
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
