package dane

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
)

// minRSA is the floor for a key that a record of usage 3 names, in bits; see the package comment.
const minRSA = 1024

// Input is everything an examination depends on. Nothing in it is changed or kept.
type Input struct {
	// Chain is the certificates as the server sent them, leaf first.
	Chain []*x509.Certificate
	// Records are the host's TLSA records; only those that Sort calls usable count.
	Records []dns.TLSA
	// Names are the names of which the certificate must carry one where a record of usage 2 vouches for it: the TLSA
	// base domain, the name of the mail host, and the recipients' domain where RFC 7672 §3.2.2 allows it. Usage 3 asks
	// for none.
	Names []mail.Domain
	// Now is the time of the examination. The zero time is read as 1970, at which nothing is valid yet.
	Now time.Time
}

// examination is one examination under way.
type examination struct {
	Input
	set     Set
	counted []dns.TLSA // those that may prove the server
	aside   []dns.TLSA // those that a stronger digest puts aside
	sent    []sent     // at most certcheck.MaxCertificates
}

// Examine says what the records make of the certificates. It never returns something that is neither proven nor falls
// short. The order of records, and of certificates above the leaf, makes no difference to what it finds. It is safe for
// concurrent use and costs well under a second for the worst of chains.
func Examine(in Input) policy.DANE {
	e := &examination{Input: in, set: Sort(in.Records)}
	if len(e.set.Usable) == 0 {
		return fails(policy.DANEUnusable, e.uselessText())
	}
	if len(in.Chain) == 0 {
		return fails(policy.DANEMismatch, "the server presented no certificate that a TLSA record could match")
	}
	e.counted, e.aside = strongest(e.set.Usable)
	for _, c := range in.Chain[:min(len(in.Chain), certcheck.MaxCertificates)] {
		e.sent = append(e.sent, newSent(c))
	}
	for _, r := range e.counted {
		if r.Usage == daneEE && e.sent[0].matches(r) {
			return e.ee(r)
		}
	}
	return e.ta()
}

func fails(reason policy.Reason, text string) policy.DANE {
	return policy.DANE{Shortfalls: []policy.Shortfall{{Reason: reason, Text: text}}}
}

// ee is what a record of usage 3 makes of the leaf that it matches. Nothing but the key is looked at (RFC 7672 §3.1.1).
func (e *examination) ee(r dns.TLSA) policy.DANE {
	out := policy.DANE{Record: brief(r)}
	weak := func(what string) policy.DANE {
		out.Shortfalls = []policy.Shortfall{{Reason: policy.CertWeak, Text: fmt.Sprintf(
			"the certificate is the one of TLSA record %s, but %s", brief(r), what)}}
		return out
	}
	key, isRSA := e.Chain[0].PublicKey.(*rsa.PublicKey)
	switch {
	case isRSA && key.N.BitLen() < minRSA:
		return weak(fmt.Sprintf("its RSA key of %d bits can be computed by others; at least %d are needed",
			key.N.BitLen(), minRSA))
	case algorithm(e.Chain[0].PublicKey) == x509.UnknownPublicKeyAlgorithm:
		return weak("its key is of a kind that is not accepted")
	}
	out.By = policy.ByDANEEE
	return out
}

// ta is what the records of usage 2 make of the chain (RFC 7672 §3.1.2).
func (e *examination) ta() policy.DANE {
	if n := len(e.Chain); n > certcheck.MaxCertificates && e.counts(daneTA) {
		return fails(policy.DANEMismatch, fmt.Sprintf(
			"the server sent %d certificates, and more than %d are not examined for TLSA records of usage 2",
			n, certcheck.MaxCertificates))
	}
	anchors := e.anchors()
	if len(anchors) == 0 {
		return fails(policy.DANEMismatch, e.mismatchText())
	}
	chains, shortfalls := e.below(anchors).Examine()
	found, ok := behind(anchors, chains)
	switch {
	case !ok:
		return fails(policy.DANEMismatch, e.unreachedText(anchors, shortfalls))
	case len(shortfalls) == 0:
		return policy.DANE{By: policy.ByDANETA, Record: brief(found.record)}
	}
	out := policy.DANE{Record: brief(found.record)}
	for _, s := range shortfalls {
		s.Text = "below the DANE-TA anchor " + out.Record + ": " + s.Text
		out.Shortfalls = append(out.Shortfalls, s)
	}
	return out
}

// below is the examination of the chain for certcheck. What stands above the leaf is put in an order of its own, so
// that how it was sent decides nothing.
func (e *examination) below(anchors []anchor) certcheck.Anchored {
	a := certcheck.Anchored{Chain: slices.Clone(e.Chain), Names: e.Names, Now: e.Now}
	slices.SortStableFunc(a.Chain[1:], func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) })
	for _, an := range anchors {
		a.Anchors = append(a.Anchors, an.cert)
	}
	return a
}

// behind returns the first anchor at which one of the chains ends.
func behind(anchors []anchor, chains [][]*x509.Certificate) (anchor, bool) {
	for _, an := range anchors {
		for _, c := range chains {
			if len(c) > 1 && c[len(c)-1].Equal(an.cert) {
				return an, true
			}
		}
	}
	return anchor{}, false
}

// counts reports whether a record of the usage counts.
func (e *examination) counts(usage uint8) bool {
	return slices.ContainsFunc(e.counted, func(r dns.TLSA) bool { return r.Usage == usage })
}

// sent is a certificate that the server sent, in every form that a record can name it: by selector and matching type.
type sent struct {
	cert *x509.Certificate
	form [2][3][]byte
}

func newSent(c *x509.Certificate) sent {
	s := sent{cert: c}
	for _, selector := range []uint8{cert, spki} {
		for _, matching := range []uint8{full, sha2x256, sha2x512} {
			s.form[selector][matching] = octets(c, selector, matching)
		}
	}
	return s
}

// matches reports whether a usable record names this certificate, whatever its usage.
func (s sent) matches(r dns.TLSA) bool { return bytes.Equal(s.form[r.Selector][r.Matching], r.Data) }

// above returns what was sent besides the leaf, which is never an anchor.
func (e *examination) above() []sent {
	return slices.DeleteFunc(slices.Clone(e.sent[1:]), func(s sent) bool { return s.cert.Equal(e.sent[0].cert) })
}
