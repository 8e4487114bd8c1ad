package dns

import (
	"context"
	"net/netip"
	"time"

	"postern/internal/mail"
)

// Resolver answers questions about names. All methods are safe for concurrent use, follow CNAME chains, and honour the
// context's end. Every error is an *Error. The slices in an answer belong to the caller.
type Resolver interface {
	// MX returns the mail exchangers of name in no promised order, a null MX (RFC 7505) included.
	MX(ctx context.Context, name mail.Domain) (MXAnswer, error)
	// Addrs asks for A and AAAA at the same time and reports each family by itself.
	Addrs(ctx context.Context, name mail.Domain) Addresses
	// CNAME returns the target of name's own CNAME record and follows nothing. RFC 7672 §2.2.2 needs to know whether
	// that one record is secure.
	CNAME(ctx context.Context, name mail.Domain) (CNAMEAnswer, error)
	// TXT returns the text records of name, the strings of each joined.
	TXT(ctx context.Context, name mail.Domain) (TXTAnswer, error)
	// TLSA returns the TLSA records of name, which is already in the form _25._tcp.host.
	TLSA(ctx context.Context, name mail.Domain) (TLSAAnswer, error)
}

// Info is what every answer tells about itself. An empty answer and NXDomain have one too: their Secure speaks of the
// proof that there is no such thing. Beside any other error only Name is set.
type Info struct {
	// Secure says that a validating resolver which we trust vouched for the whole chain (the AD bit of RFC 4035
	// §3.2.3).
	Secure bool
	// TTL is how long the answer may be kept, the smallest of the chain.
	TTL time.Duration
	// Name is the owner of the records: the name asked for, or where its CNAMEs ended.
	Name mail.Domain
	// Aliases are the names passed on the way from the name asked for to Name, without Name; empty without CNAME.
	Aliases []mail.Domain
}

// MX is one mail exchanger.
type MX struct {
	Pref uint16
	// Host is the exchanger's name. It is zero for a null MX and for a name no host can have; Text tells them apart.
	Host mail.Domain
	// Text is the name in presentation form (escaped, printable ASCII), in lower case and without the final dot; "."
	// for the root.
	Text string
}

// Null reports whether m is the record of RFC 7505 that says "this domain takes no mail". The preference is not looked
// at: a root label is never a mail host.
func (m MX) Null() bool { return m.Text == "." }

// MXAnswer is the answer to MX.
type MXAnswer struct {
	Info
	Records []MX
}

// CNAMEAnswer is the answer to CNAME; Target is zero when name is no alias.
type CNAMEAnswer struct {
	Info
	Target mail.Domain
}

// TXTAnswer is the answer to TXT. The texts are bytes a stranger chose.
type TXTAnswer struct {
	Info
	Texts []string
}

// TLSA is one record of RFC 6698 §2.1.
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// TLSAAnswer is the answer to TLSA.
type TLSAAnswer struct {
	Info
	Records []TLSA
}

// PTRAnswer is the answer to a question for the names of an address. Whoever runs the address's network chose them:
// they prove nothing until their own addresses say the same.
type PTRAnswer struct {
	Info
	// Names are those that a host can have; others are left out.
	Names []mail.Domain
}

// Addresses is the answer to Addrs.
type Addresses struct {
	V4, V6 Family
}

// Family is the answer about one address family. With Err nil and no Addrs the name has no address of that family.
type Family struct {
	Info
	Addrs []netip.Addr
	Err   error // nil or *Error
}

// All returns the addresses of both families, IPv6 first.
func (a Addresses) All() []netip.Addr {
	all := make([]netip.Addr, 0, len(a.V6.Addrs)+len(a.V4.Addrs))
	return append(append(all, a.V6.Addrs...), a.V4.Addrs...)
}

// Err returns why there is no address at all: nil when there is one, or when both families answered that there is
// none. A family that could not be asked weighs more than one that said the name does not exist.
func (a Addresses) Err() error {
	if len(a.V4.Addrs)+len(a.V6.Addrs) > 0 {
		return nil
	}
	for _, err := range []error{a.V4.Err, a.V6.Err} {
		if err != nil && !IsNXDomain(err) {
			return err
		}
	}
	// One family saying "no such name" and the other "no such record" contradict each other (a broken server): the
	// name exists.
	if a.V4.Err != nil && a.V6.Err != nil {
		return a.V4.Err
	}
	return nil
}
