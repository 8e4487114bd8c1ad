package intake

import (
	"net/netip"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/publicaddr"
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
		out.bound = i.ofUser(c.User)
	case i.certified(c):
		out.bound = i.ofCertificate(c)
	default:
		out.bound = i.ofNetwork(c.Client.Addr())
	}
	return out
}

// domains are those that the bindings name, each once; none where one of them allows every sender.
func (r rights) domains() (out []string) {
	for _, b := range r.bound {
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

func (i *Intake) ofUser(name string) (out []*Binding) {
	for j := range i.cfg.Bindings {
		b := &i.cfg.Bindings[j]
		for _, u := range b.Users {
			if u == name {
				out = append(out, b)
			}
		}
	}
	return out
}

// ofNetwork returns the bindings of the smallest network that holds the address.
func (i *Intake) ofNetwork(client netip.Addr) (out []*Binding) {
	longest := -1
	for j := range i.cfg.Bindings {
		b := &i.cfg.Bindings[j]
		for _, n := range b.Networks {
			switch {
			case !n.Contains(client) || n.Bits() < longest:
			case n.Bits() > longest:
				longest, out = n.Bits(), []*Binding{b}
			default:
				out = append(out, b)
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
func (i *Intake) ofCertificate(c *smtpserver.ConnInfo) (out []*Binding) {
	names := certificateNames(c)
	best := fitsAll
	for j := range i.cfg.Bindings {
		b := &i.cfg.Bindings[j]
		fit := fitsNot
		for _, pattern := range b.Certificates {
			fit = max(fit, fitOf(pattern, names))
		}
		switch {
		case fit > best:
			best, out = fit, []*Binding{b}
		case fit == best:
			out = append(out, b)
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
