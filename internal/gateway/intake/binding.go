package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/publicaddr"
	"postern/internal/queue"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// Binding says which envelope senders some of those who may relay may use. It gives nobody the right to relay, and the
// header is not looked at: what stands in From is the author's, and own servers pass on what others wrote.
type Binding struct {
	Networks []netip.Prefix
	Users    []string // names of AUTH
	// Certificates are names in a client's certificate: "app.example.com", "*.example.com" for every name below it, "*"
	// for every certificate. In lower case.
	Certificates []string
	Senders      []Sender
}

// Bindings are all of them, with who may relay at all. They never change. Use NewBindings.
type Bindings struct {
	list         []Binding
	networks     []netip.Prefix
	certificates bool
}

// NewBindings returns the bindings of clients in networks, of those that log in and, with certificates, of those with a
// certificate of our CA.
func NewBindings(list []Binding, networks []netip.Prefix, certificates bool) *Bindings {
	return &Bindings{unmapped(list), publicaddr.Unmapped(networks), certificates}
}

// Relays reports whether a message of a client may go to any domain.
func (b *Bindings) Relays(in *queue.Inbound) bool {
	return in.User != "" || b.certified(in.TLS) || b.inNetwork(in.Client)
}

func (b *Bindings) inNetwork(client netip.Addr) bool {
	return slices.ContainsFunc(b.networks, func(n netip.Prefix) bool { return n.Contains(client) })
}

// certified reports whether the client may relay by its certificate.
func (b *Bindings) certified(t *mail.TLS) bool {
	return b.certificates && t != nil && t.Client != nil && t.Client.Verified
}

// Bound are the domains that whoever handed in a message is bound to now, as queue.Inbound.Bound says what it was then,
// which still counts for a certificate, since its names are not kept.
func (b *Bindings) Bound(in *queue.Inbound) []string {
	switch {
	case !in.Relayed:
		return nil
	case in.User != "":
		return domains(b.ofUser(in.User))
	case b.certified(in.TLS):
		return in.Bound
	}
	return domains(b.ofNetwork(in.Client))
}

// Digest names what they say: "" for none.
func (b *Bindings) Digest() string {
	if len(b.list) == 0 {
		return ""
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%v %v\n", b.networks, b.certificates)
	for _, one := range b.list {
		fmt.Fprintf(sum, "%v %q %q %v\n", one.Networks, one.Users, one.Certificates, one.Senders)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Sender is a set of envelope senders: those of a domain, those of every domain below it, the null sender, or all.
type Sender struct {
	Domain mail.Domain
	Below  bool // the domains below Domain instead of itself
	Null   bool
	Any    bool
}

// has reports whether the set holds a sender. Domains are compared in their one canonical form.
func (s Sender) has(from mail.Address) bool {
	switch {
	case s.Any:
		return true
	case from.IsNull() || s.Null:
		return from.IsNull() && s.Null
	case s.Below:
		return from.Domain.Below(s.Domain)
	}
	return from.Domain == s.Domain
}

// rights are what a client may do in one transaction, found out at MAIL.
//
// A client is bound by what it proved most: by the binding of its user if it logged in, else by that of its certificate
// if that was verified, else by that of its network. Of networks the smallest that holds the address decides, of the
// names in a certificate one written out goes before "*.example.com" and that before "*". Where several bindings fit
// alike, what any of them allows is allowed. Who has none may use every sender.
type rights struct {
	relay bool
	bound []*Binding
}

// rightsOf says what a client may do now.
func (i *Intake) rightsOf(c *smtpserver.ConnInfo) rights {
	if !i.mayRelay(c) {
		return rights{}
	}
	out := rights{relay: true}
	switch {
	case c.User != "":
		out.bound = i.bindings.ofUser(c.User)
	case i.bindings.certified(c.TLS):
		out.bound = i.bindings.ofCertificate(c)
	default:
		out.bound = i.bindings.ofNetwork(c.Client.Addr())
	}
	return out
}

// domains are those that bindings name, each once; none where one of them allows every sender.
func domains(bound []*Binding) (out []string) {
	for _, b := range bound {
		for _, s := range b.Senders {
			name := s.Domain.String()
			switch {
			case s.Any:
				return nil
			case s.Null:
				continue
			case s.Below:
				name = "*." + name
			}
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func (b *Bindings) ofUser(name string) (out []*Binding) {
	for j := range b.list {
		one := &b.list[j]
		for _, u := range one.Users {
			if u == name {
				out = append(out, one)
			}
		}
	}
	return out
}

// ofNetwork returns the bindings of the smallest network that holds the address.
func (b *Bindings) ofNetwork(client netip.Addr) (out []*Binding) {
	longest := -1
	for j := range b.list {
		one := &b.list[j]
		for _, n := range one.Networks {
			switch {
			case !n.Contains(client) || n.Bits() < longest:
			case n.Bits() > longest:
				longest, out = n.Bits(), []*Binding{one}
			default:
				out = append(out, one)
			}
		}
	}
	return out
}

// How well a name of a certificate fits.
const (
	fitsNot = iota
	fitsAll
	fitsBelow
	fitsExactly
)

// ofCertificate returns the bindings that fit the client's certificate best.
func (b *Bindings) ofCertificate(c *smtpserver.ConnInfo) (out []*Binding) {
	names := certificateNames(c)
	best := fitsAll
	for j := range b.list {
		one := &b.list[j]
		fit := fitsNot
		for _, pattern := range one.Certificates {
			fit = max(fit, fitOf(pattern, names))
		}
		switch {
		case fit > best:
			best, out = fit, []*Binding{one}
		case fit == best:
			out = append(out, one)
		}
	}
	return out
}

func fitOf(pattern string, names []string) int {
	fit := fitsNot
	for _, name := range names {
		switch below, cut := strings.CutPrefix(pattern, "*"); {
		case name == pattern:
			return fitsExactly
		case cut && below != "" && strings.HasSuffix(name, below) && len(name) > len(below):
			fit = fitsBelow
		}
	}
	if fit == fitsNot && pattern == "*" {
		return fitsAll
	}
	return fit
}

// certificateNames are the DNS names and the common name of a client's certificate. Its CA is ours, so both are its
// word.
func certificateNames(c *smtpserver.ConnInfo) []string {
	if len(c.ClientChain) == 0 {
		return nil
	}
	leaf := c.ClientChain[0]
	var out []string
	for _, name := range append([]string{leaf.Subject.CommonName}, leaf.DNSNames...) {
		if name = strings.TrimSuffix(strings.ToLower(name), "."); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// mayUse refuses a sender that the client may not use.
func (r rights) mayUse(from mail.Address) *smtp.Reply {
	if len(r.bound) == 0 {
		return nil
	}
	for _, b := range r.bound {
		for _, s := range b.Senders {
			if s.has(from) {
				return nil
			}
		}
	}
	if from.IsNull() {
		return smtp.NewReply(553, "5.7.1", "this client may not use the null sender here")
	}
	return smtp.NewReply(553, "5.7.1", "this client may not use senders of that domain here")
}

// unmapped brings the networks of bindings to the form in which clients are compared.
func unmapped(in []Binding) []Binding {
	out := make([]Binding, len(in))
	for j, b := range in {
		b.Networks = publicaddr.Unmapped(b.Networks)
		out[j] = b
	}
	return out
}
