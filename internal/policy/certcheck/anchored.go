package certcheck

import (
	"crypto/x509"
	"fmt"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Anchored is a chain that is examined below roots which a stranger named, in place of trusted ones: the anchors of a
// host's TLSA records (RFC 7672 §3.1.2). Nothing in it is changed or kept.
type Anchored struct {
	// Chain is the certificates as the peer sent them, leaf first; those above the leaf in any order.
	Chain []*x509.Certificate
	// Anchors are the roots, self-signed or not. They may be among the certificates sent; the leaf itself is never one.
	Anchors []*x509.Certificate
	// Names are the names to expect, one of which the leaf must carry. Address literals match nothing.
	Names []mail.Domain
	// Now is the time of the examination. The zero time is read as 1970, at which nothing is valid yet.
	Now time.Time
}

// Examine returns the chains from the leaf to an anchor that have no fault, leaf first and anchor last, and what falls
// short: none means that an anchor vouches for a certificate with one of the names. Where no chain is without a fault
// it returns the one that the shortfalls speak of, which may end below any anchor and proves nothing. The rules are
// those for trusted roots (RFC 5280 §6), and anchors are judged by them too: their dates, keys and constraints count.
// It is safe for concurrent use.
func (a Anchored) Examine() (chains [][]*x509.Certificate, shortfalls []policy.Shortfall) {
	if len(a.Chain) == 0 {
		return nil, []policy.Shortfall{{Reason: policy.CertUntrusted, Text: "the server presented no certificate"}}
	}
	if n := len(a.Chain); n > MaxCertificates {
		return nil, []policy.Shortfall{{Reason: policy.CertUntrusted, Text: fmt.Sprintf(
			"the server sent %d certificates; more than %d are not examined", n, MaxCertificates)}}
	}
	name, named := a.names().check(a.Chain[0])
	if countNames(a.Chain[0]) > maxNames {
		return nil, []policy.Shortfall{name}
	}
	t := a.search().examine()
	if !named {
		t.shortfalls = append(t.shortfalls, name)
	}
	return t.chains, t.shortfalls
}

func (a Anchored) search() *search {
	s := &search{
		roots:   x509.NewCertPool(),
		leaf:    a.Chain[0],
		sent:    a.Chain[1:],
		now:     instant(a.Now),
		anchors: []*x509.Certificate{},
	}
	for _, c := range a.Anchors {
		if c.Equal(s.leaf) {
			continue
		}
		s.anchors = append(s.anchors, c)
		if !excessive(c) {
			s.roots.AddCert(c)
		}
	}
	return s
}

func (a Anchored) names() reference {
	var r reference
	for _, d := range a.Names {
		r.addHost(d)
	}
	if len(a.Names) == 0 {
		r.why = "no name is known to expect"
	}
	return r
}
