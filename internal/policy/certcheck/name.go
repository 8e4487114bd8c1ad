package certcheck

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"postern/internal/mail"
	"postern/internal/policy"
)

// maxNames is how many names a certificate may carry. Public CAs stop at some hundreds.
const maxNames = 1000

// reference is the set of names we had reason to expect, the reference identifiers of RFC 9525 §6.1.
type reference struct {
	// names are matched as hosts: exactly, or by a wildcard of the certificate.
	names []mail.Domain
	// parents accept, besides what names accept, any certificate name directly below them, and the wildcard there.
	parents []mail.Domain
	// why says what is wrong where there is nothing to match.
	why string
}

func newReference(n policy.Names, host, domain mail.Domain) reference {
	var r reference
	if n.MX {
		r.addHost(host)
	}
	if n.Domain {
		r.addDomain(domain)
	}
	for _, entry := range n.List {
		r.addEntry(entry)
	}
	if len(r.names)+len(r.parents) == 0 && r.why == "" {
		r.why = "the requirement names no certificate name to expect"
	}
	return r
}

func (r *reference) addHost(host mail.Domain) {
	if _, literal := host.Literal(); literal || host.IsZero() {
		r.why = "the server was dialled by its IP address, so there is no host name to expect"
		return
	}
	r.names = append(r.names, host)
}

// addDomain accepts the domain and what stands directly below it. Below a public suffix everybody may register a name,
// so there only the domain itself counts.
func (r *reference) addDomain(domain mail.Domain) {
	if _, literal := domain.Literal(); literal || domain.IsZero() {
		r.why = "the recipient's domain is an IP address, which no certificate name can match"
		return
	}
	r.names = append(r.names, domain)
	if suffix, _ := publicsuffix.PublicSuffix(domain.String()); suffix != domain.String() {
		r.parents = append(r.parents, domain)
	}
}

func (r *reference) addEntry(entry string) {
	name, wildcard := strings.CutPrefix(entry, "*.")
	d, err := mail.ParseDomain(name)
	_, literal := d.Literal()
	if err != nil || literal || wildcard && isSuffix(d.String()) {
		r.why = fmt.Sprintf("the expected name %q is no name that a certificate could prove", printable(entry, 255))
		return
	}
	if wildcard {
		r.parents = append(r.parents, d)
	} else {
		r.names = append(r.names, d)
	}
}

// expected returns the names as people write them.
func (r reference) expected() []string {
	var out []string
	for _, d := range r.names {
		out = append(out, d.String())
	}
	for _, d := range r.parents {
		out = append(out, "*."+d.String())
	}
	return out
}

// check looks for one DNS name of the certificate that r expects. Common names, IP addresses and URIs do not count
// (RFC 9525 §6.2, §6.3).
func (r reference) check(c *x509.Certificate) (policy.Shortfall, bool) {
	if countNames(c) > maxNames {
		return mismatch("the certificate carries %d names; more than %d are not searched", countNames(c), maxNames)
	}
	for _, raw := range c.DNSNames {
		if p, ok := parsePresented(raw); ok && r.accepts(p) {
			return policy.Shortfall{}, true
		}
	}
	wanted := list(r.expected(), "")
	switch {
	case wanted == "":
		return mismatch("%s; the certificate is for %s", r.why, list(presented(c, len(c.DNSNames)), "no DNS name"))
	case len(c.DNSNames) == 0:
		return mismatch("expected %s, but the certificate has no DNS name%s", wanted, otherNames(c))
	}
	return mismatch("expected %s, but the certificate is for %s", wanted, list(presented(c, len(c.DNSNames)), ""))
}

func mismatch(format string, args ...any) (policy.Shortfall, bool) {
	return policy.Shortfall{Reason: policy.CertNameMismatch, Text: fmt.Sprintf(format, args...)}, false
}

// otherNames says what a certificate without DNS names has instead, because that is what its owner will look at.
func otherNames(c *x509.Certificate) string {
	switch {
	case len(c.IPAddresses)+len(c.URIs) > 0:
		return "; IP addresses and URIs do not count"
	case c.Subject.CommonName != "":
		return fmt.Sprintf(" in its subjectAltName; the common name %s does not count",
			printable(c.Subject.CommonName, 255))
	}
	return ""
}

func countNames(c *x509.Certificate) int {
	return len(c.DNSNames) + len(c.IPAddresses) + len(c.URIs) + len(c.EmailAddresses)
}

// pattern is a DNS name of a certificate: a host, or the wildcard for what stands directly below name.
type pattern struct {
	name     string // lower case, A-labels
	wildcard bool
}

// parsePresented reads a DNS name of a certificate. Whatever is not plainly a host name or a wildcard of one whole
// left-most label is refused: NUL and blanks, leading and trailing dots, "mx*.example", "*" and wildcards over a whole
// public suffix (RFC 9525 §6.3, RFC 5280 §4.2.1.6).
func parsePresented(raw string) (pattern, bool) {
	name, wildcard := strings.CutPrefix(raw, "*.")
	name = strings.ToLower(name)
	if !isHostName(name) || wildcard && isSuffix(name) {
		return pattern{}, false
	}
	return pattern{name, wildcard}, true
}

func isHostName(name string) bool {
	if len(name) == 0 || len(name) > 253 || isDigits(name[strings.LastIndexByte(name, '.')+1:]) {
		return false // a last label of digits makes it an IP address
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// isSuffix reports whether everybody may register names below name: a top-level domain or a registry's suffix. Suffixes
// of the list's private part are left to their owners, who do hold wildcards for them.
func isSuffix(name string) bool {
	if !strings.Contains(name, ".") {
		return true
	}
	suffix, icann := publicsuffix.PublicSuffix(name)
	return icann && suffix == name
}

// accepts reports whether p is one of the expected names.
func (r reference) accepts(p pattern) bool {
	speaksFor := func(d mail.Domain) bool {
		if !p.wildcard {
			return p.name == d.String()
		}
		_, above, _ := strings.Cut(d.String(), ".")
		return above == p.name
	}
	below := func(d mail.Domain) bool {
		if p.wildcard {
			return p.name == d.String()
		}
		_, above, _ := strings.Cut(p.name, ".")
		return above == d.String()
	}
	return slices.ContainsFunc(r.names, speaksFor) || slices.ContainsFunc(r.parents, below)
}
