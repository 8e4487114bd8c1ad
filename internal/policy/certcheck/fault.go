package certcheck

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"postern/internal/policy"
)

// The limits of strength, in bits. Smaller keys are weak; larger RSA keys are refused because computing with them costs
// too much.
const (
	minRSA   = 2048
	maxRSA   = 8192
	minECDSA = 256
)

// maxConstraints is how many name constraints an issuer may carry.
const maxConstraints = 1000

// maxShortfalls bounds what is told about one chain.
const maxShortfalls = 12

func bounded(faults []policy.Shortfall) []policy.Shortfall {
	return faults[:min(len(faults), maxShortfalls)]
}

// rank orders reasons by what should be repaired first.
func rank(r policy.Reason) int {
	return slices.Index([]policy.Reason{
		policy.CertSelfSigned, policy.CertUntrusted, policy.CertIncompleteChain,
		policy.CertExpired, policy.CertNotYetValid, policy.CertWeak, policy.CertUsage, policy.CertNameConstraint,
	}, r)
}

// faults lists what is wrong with the certificates of a chain, leaf first. anchored says that the last is a trusted
// root, whose signature is of no account.
func (s *search) faults(chain []*x509.Certificate, anchored bool) []policy.Shortfall {
	var out []policy.Shortfall
	for i, c := range chain {
		add := func(reason policy.Reason, format string, args ...any) {
			text := s.place(chain, i, anchored) + " " + fmt.Sprintf(format, args...)
			out = append(out, policy.Shortfall{Reason: reason, Text: text})
		}
		top := i == len(chain)-1
		s.dateFaults(c, add)
		strengthFaults(c, top && (anchored || selfSigned(c)), add)
		s.usageFaults(c, i, add)
	}
	slices.SortStableFunc(out, func(a, b policy.Shortfall) int { return rank(a.Reason) - rank(b.Reason) })
	return out
}

type adder func(reason policy.Reason, format string, args ...any)

// place names the i-th certificate of a chain in a sentence.
func (s *search) place(chain []*x509.Certificate, i int, anchored bool) string {
	switch {
	case i == 0:
		return "the certificate"
	case anchored && i == len(chain)-1 && s.anchors != nil:
		return "the anchor " + subject(chain[i])
	case anchored && i == len(chain)-1:
		return "the root certificate " + subject(chain[i])
	}
	return "the intermediate certificate " + subject(chain[i])
}

func (s *search) dateFaults(c *x509.Certificate, add adder) {
	switch {
	case s.now.After(c.NotAfter):
		add(policy.CertExpired, "expired at %s (it was valid from %s)", date(c.NotAfter), date(c.NotBefore))
	case s.now.Before(c.NotBefore):
		add(policy.CertNotYetValid, "is not valid before %s (until %s)", date(c.NotBefore), date(c.NotAfter))
	}
}

func strengthFaults(c *x509.Certificate, signatureIdle bool, add adder) {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA {
			add(policy.CertWeak, "has an RSA key of %d bits, at least %d are needed", bits, minRSA)
		} else if bits > maxRSA {
			add(policy.CertWeak, "has an RSA key of %d bits, more than %d are not examined", bits, maxRSA)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < minECDSA {
			add(policy.CertWeak, "has an ECDSA key of %d bits, at least %d are needed", bits, minECDSA)
		}
	case ed25519.PublicKey:
	default:
		add(policy.CertWeak, "has a key of a kind that is not accepted (%s)", keyName(c))
	}
	if !signatureIdle && weakSignature(c) {
		add(policy.CertWeak, "is signed with %s, which can be forged or is not known", c.SignatureAlgorithm)
	}
}

// weakSignature reports whether the signature on c proves nothing.
func weakSignature(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return false
	}
	return true
}

// usageFaults asks whether the certificate at position i may be used there: a server's leaf at 0, an issuer above.
func (s *search) usageFaults(c *x509.Certificate, i int, add adder) {
	if n := len(c.UnhandledCriticalExtensions); n > 0 {
		add(policy.CertUsage, "has a critical extension that is not understood (%s)", c.UnhandledCriticalExtensions[0])
	}
	// parsed all the same, so that ordinary mail gets its TLS (go.mod, x509negativeserial)
	if c.SerialNumber.Sign() < 0 {
		add(policy.CertUsage, "has a negative serial number, against RFC 5280 §4.1.2.2")
	}
	switch ok := slices.ContainsFunc(s.usages(), func(u x509.ExtKeyUsage) bool { return mayBe(c, u) }); {
	case !ok && s.client:
		add(policy.CertUsage, "is meant neither for servers nor for clients: its extended key usage has neither "+
			"serverAuth nor clientAuth")
	case !ok:
		add(policy.CertUsage, "is not meant for servers: its extended key usage lacks serverAuth")
	}
	if i == 0 {
		leafFaults(c, add)
		return
	}
	switch {
	case c.BasicConstraintsValid && !c.IsCA, c.Version == 3 && !c.BasicConstraintsValid:
		add(policy.CertUsage, "may not issue others: it is not a CA")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		add(policy.CertUsage, "may not issue others: its key usage lacks keyCertSign")
	case c.BasicConstraintsValid && c.MaxPathLen >= 0 && i-1 > c.MaxPathLen:
		add(policy.CertUsage, "allows %d intermediates below it, and there are %d", c.MaxPathLen, i-1)
	}
	if countConstraints(c) > maxConstraints {
		add(policy.CertNameConstraint, "has %d name constraints; more than %d are not examined", countConstraints(c),
			maxConstraints)
	}
}

func leafFaults(c *x509.Certificate, add adder) {
	switch {
	// The peer signs the handshake with this key (RFC 8446 §4.4.2.2).
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		add(policy.CertUsage, "may not sign: its key usage lacks digitalSignature")
	// What only a CA may have contradicts a certificate that is none (RFC 5280 §4.2.1.9, §4.2.1.10).
	case !c.IsCA && c.KeyUsage&x509.KeyUsageCertSign != 0:
		add(policy.CertUsage, "contradicts itself: it may sign certificates and is not a CA")
	case !c.IsCA && countConstraints(c) > 0:
		add(policy.CertUsage, "contradicts itself: it constrains the names below it and is not a CA")
	}
}

// mayBe reports whether extended key usage allows one use: absent, any, or that (RFC 5280 §4.2.1.12).
func mayBe(c *x509.Certificate, use x509.ExtKeyUsage) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		extKeyUsage := asn1.ObjectIdentifier{2, 5, 29, 37}
		return !slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(extKeyUsage) })
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) || slices.Contains(c.ExtKeyUsage, use)
}

// excessive reports whether an issuer is too large to compute with.
func excessive(c *x509.Certificate) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() > maxRSA || countNames(c) > maxNames || countConstraints(c) > maxConstraints
}

func countConstraints(c *x509.Certificate) int {
	return len(c.PermittedDNSDomains) + len(c.ExcludedDNSDomains) + len(c.PermittedIPRanges) + len(c.ExcludedIPRanges) +
		len(c.PermittedEmailAddresses) + len(c.ExcludedEmailAddresses) + len(c.PermittedURIDomains) + len(
		c.ExcludedURIDomains)
}

// constraintShortfall says which issuers restrict the names below them.
func constraintShortfall(leaf *x509.Certificate, chains [][]*x509.Certificate) policy.Shortfall {
	var who []string
	for _, chain := range chains {
		for _, c := range chain[1:] {
			if name := subject(c); countConstraints(c) > 0 && !slices.Contains(who, name) {
				who = append(who, name)
			}
		}
	}
	return policy.Shortfall{Reason: policy.CertNameConstraint, Text: fmt.Sprintf(
		"the name constraints of %s do not allow the names of the certificate (%s)",
		list(who, "an issuer"), list(presented(leaf, len(leaf.DNSNames)), "no DNS name"))}
}
