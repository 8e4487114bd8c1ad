package certcheck

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/policy"
)

// trust is what one pool of roots makes of the presented certificates.
type trust struct {
	shortfalls []policy.Shortfall // none: a root of the pool vouches for the leaf
	// chains are those without a fault, leaf first, root last. Where there is none it holds the one the shortfalls
	// speak of, which proves nothing.
	chains [][]*x509.Certificate
}

// examineTrust looks for a chain without a fault. crypto/x509 must accept it, and our own rules too.
func (in *Input) examineTrust(name string) trust {
	leaf, roots := in.Chain[0], in.Roots[name]
	lone := [][]*x509.Certificate{{leaf}}
	switch {
	case len(in.Chain) > MaxCertificates:
		return trust{[]policy.Shortfall{{Reason: policy.CertUntrusted, Text: fmt.Sprintf(
			"the %s sent %d certificates; more than %d are not examined", side(in.Client), len(in.Chain),
			MaxCertificates)}}, lone}
	case countNames(leaf) > maxNames:
		s, _ := reference{}.check(leaf)
		return trust{[]policy.Shortfall{s}, lone}
	case roots == nil:
		return trust{[]policy.Shortfall{{Reason: policy.PolicyUnavailable,
			Text: "the trusted roots of " + printable(name, 200) + " could not be read here"}}, lone}
	}
	s := &search{roots: roots, leaf: leaf, sent: in.Chain[1:], now: in.Now, client: in.Client}
	return s.examine()
}

// examine looks for a chain without a fault, or says what is wrong with the best there is.
func (s *search) examine() trust {
	chains, err := s.verify()
	if err != nil {
		chain, faults := s.explain(err)
		return trust{bounded(faults), [][]*x509.Certificate{chain}}
	}
	if good := slices.DeleteFunc(slices.Clone(chains), func(c []*x509.Certificate) bool {
		return len(s.faults(c, true)) > 0
	}); len(good) > 0 {
		return trust{nil, good}
	}
	chain, faults := s.best(chains)
	return trust{bounded(faults), [][]*x509.Certificate{chain}}
}

// search looks for chains from leaf to a root of roots.
type search struct {
	roots *x509.CertPool
	leaf  *x509.Certificate
	sent  []*x509.Certificate // what came with the leaf, in any order
	now   time.Time
	// client says that the leaf is that of a client.
	client bool
	// anchors are the roots where a stranger named them (Anchored); nil where they are trusted roots of ours.
	anchors []*x509.Certificate
}

// root is what people are told a root of the search is.
func (s *search) root() string {
	if s.anchors != nil {
		return "DANE-TA anchor"
	}
	return "trusted root"
}

// verify asks crypto/x509 for chains (RFC 5280 §6). Certificates of excessive size are not shown to it.
func (s *search) verify() ([][]*x509.Certificate, error) {
	above := x509.NewCertPool()
	for _, c := range s.sent {
		if !excessive(c) {
			above.AddCert(c)
		}
	}
	return s.leaf.Verify(x509.VerifyOptions{
		Roots:         s.roots,
		Intermediates: above,
		CurrentTime:   s.now,
		KeyUsages:     s.usages(),
	})
}

// usages are those of which a chain must have one; no usage at all and "any" pass as well.
func (s *search) usages() []x509.ExtKeyUsage {
	if s.client {
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

// explain finds every fault of the chain that crypto/x509 refused with cause, and never answers that there is none.
func (s *search) explain(cause error) ([]*x509.Certificate, []policy.Shortfall) {
	var extra []policy.Shortfall
	chains, err := s.relaxed(s.leaf, s.now, false)
	if refusedName(err) {
		chains, _ = s.relaxed(s.leaf, s.now, true)
		extra = append(extra, constraintShortfall(s.leaf, chains))
	}
	if len(chains) == 0 { // perhaps the root's own time is over, or has not come
		chains, _ = s.relaxed(s.leaf, s.leaf.NotBefore, true)
	}
	var chain []*x509.Certificate
	var faults []policy.Shortfall
	if len(chains) > 0 {
		chain, faults = s.best(chains)
	} else {
		chain, faults = s.walk()
	}
	faults = append(faults, extra...)
	if len(faults) == 0 {
		faults = append(faults, s.fallback(cause))
	}
	slices.SortStableFunc(faults, func(a, b policy.Shortfall) int { return rank(a.Reason) - rank(b.Reason) })
	return chain, faults
}

// best returns the chain with the fewest faults, and the faults.
func (s *search) best(chains [][]*x509.Certificate) (chain []*x509.Certificate, faults []policy.Shortfall) {
	for i, c := range chains {
		if f := s.faults(c, true); i == 0 || len(f) < len(faults) {
			chain, faults = c, f
		}
	}
	return chain, faults
}

// relaxed looks for chains from c whose signatures hold, whatever else is wrong with the certificates sent: it verifies
// copies without the fields that could be at fault. Roots stay as they are, and must be valid at the given time.
func (s *search) relaxed(c *x509.Certificate, at time.Time, dropConstraints bool) ([][]*x509.Certificate, error) {
	original := make(map[*x509.Certificate]*x509.Certificate)
	relax := func(c *x509.Certificate) *x509.Certificate {
		r := relaxedCopy(c, at, dropConstraints)
		original[r] = c
		return r
	}
	above := x509.NewCertPool()
	for _, sent := range s.sent {
		if !excessive(sent) {
			above.AddCert(relax(sent))
		}
	}
	if at.IsZero() {
		at = time.Unix(0, 0) // the library reads zero as the clock
	}
	chains, err := relax(c).Verify(x509.VerifyOptions{
		Roots: s.roots, Intermediates: above, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	for _, chain := range chains {
		for i := range chain {
			if o := original[chain[i]]; o != nil {
				chain[i] = o
			}
		}
	}
	return chains, err
}

func relaxedCopy(c *x509.Certificate, at time.Time, dropConstraints bool) *x509.Certificate {
	r := *c
	if r.NotBefore.After(at) {
		r.NotBefore = at
	}
	if r.NotAfter.Before(at) {
		r.NotAfter = at
	}
	r.UnhandledCriticalExtensions = nil
	r.BasicConstraintsValid, r.IsCA, r.MaxPathLen, r.MaxPathLenZero = true, true, -1, false
	r.KeyUsage = 0
	if dropConstraints {
		r.PermittedDNSDomains, r.ExcludedDNSDomains = nil, nil
		r.PermittedIPRanges, r.ExcludedIPRanges = nil, nil
		r.PermittedEmailAddresses, r.ExcludedEmailAddresses = nil, nil
		r.PermittedURIDomains, r.ExcludedURIDomains = nil, nil
	}
	return &r
}

// walk follows the issuers through the certificates sent, where no chain reaches a root with signatures that
// crypto/x509 accepts, and says where the way ends.
func (s *search) walk() ([]*x509.Certificate, []policy.Shortfall) {
	path := []*x509.Certificate{s.leaf}
	for doubtful := false; ; {
		top := path[len(path)-1]
		if doubtful { // beyond a signature or a certificate the library was not shown, a root may still be reached
			if chains, _ := s.relaxed(top, s.now, true); len(chains) > 0 {
				chain := append(path, chains[0][1:]...)
				return chain, s.faults(chain, true)
			}
		}
		if slices.ContainsFunc(s.anchors, top.Equal) {
			return path, s.faults(path, true)
		}
		next := s.issuerOf(top, path)
		if next == nil {
			break
		}
		doubtful = doubtful || weakSignature(top) || excessive(next)
		path = append(path, next)
	}
	faults := s.faults(path, false)
	if f, ok := s.endOf(path); ok {
		faults = append(faults, f)
	}
	return path, faults
}

// issuerOf returns the anchor or the certificate sent that signed c, nil if there is none besides those in path.
func (s *search) issuerOf(c *x509.Certificate, path []*x509.Certificate) *x509.Certificate {
	if selfSigned(c) {
		return nil
	}
	for _, candidate := range slices.Concat(s.anchors, s.sent) {
		if !slices.ContainsFunc(path, candidate.Equal) && signedBy(c, candidate) {
			return candidate
		}
	}
	return nil
}

// endOf says what is wrong with the last certificate of a path that reaches no root. A weak signature there is fault
// enough: whose it is cannot be known.
func (s *search) endOf(path []*x509.Certificate) (policy.Shortfall, bool) {
	top := path[len(path)-1]
	switch {
	case selfSigned(top) && len(path) == 1:
		return policy.Shortfall{Reason: policy.CertSelfSigned, Text: fmt.Sprintf(
			"the certificate for %s is signed by itself, so nobody vouches for it", subject(top))}, true
	case selfSigned(top):
		return policy.Shortfall{Reason: policy.CertUntrusted, Text: fmt.Sprintf(
			"the chain ends at the root %s, which is not among the %ss", subject(top), s.root())}, true
	case weakSignature(top):
		return policy.Shortfall{}, false
	case len(path) == 1:
		return policy.Shortfall{Reason: policy.CertIncompleteChain, Text: fmt.Sprintf(
			"the %s did not send the certificate of the issuer, %s, which is no %s either%s",
			side(s.client), issuer(top), s.root(), strangers(len(s.sent)))}, true
	}
	return policy.Shortfall{Reason: policy.CertUntrusted, Text: fmt.Sprintf(
		"the chain ends at %s, whose issuer, %s, is neither a %s nor among the certificates sent",
		subject(top), issuer(top), s.root())}, true
}

func strangers(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "; the other certificate it sent does not belong to this one"
	}
	return fmt.Sprintf("; the %d other certificates it sent do not belong to this one", n)
}

// selfSigned reports whether c carries its own signature.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && signedBy(c, c)
}

// signedBy reports whether parent signed c, by names and signature. Where the signature cannot be computed (MD5, a key
// of excessive size) the names decide; such a certificate is at fault for that reason.
func signedBy(c, parent *x509.Certificate) bool {
	if !bytes.Equal(c.RawIssuer, parent.RawSubject) {
		return false
	}
	if excessive(parent) || c.SignatureAlgorithm == x509.MD5WithRSA || c.SignatureAlgorithm == x509.MD2WithRSA {
		return true
	}
	return parent.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func refusedName(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName
}

// fallback names what crypto/x509 refused when our own look found no fault. Its sentence is not passed on.
func (s *search) fallback(err error) policy.Shortfall {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		return policy.Shortfall{Reason: policy.CertUsage,
			Text: "the certificates do not fit together as a chain for a " + side(s.client)}
	}
	return policy.Shortfall{Reason: policy.CertUntrusted, Text: "no " + s.root() + " vouches for the certificate"}
}
