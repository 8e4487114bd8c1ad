package dane

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"slices"
	"time"

	"postern/internal/dns"
)

// anchor is a root that a record of usage 2 names.
type anchor struct {
	record dns.TLSA
	cert   *x509.Certificate
	sent   bool // it is among the certificates sent
}

// anchors finds what the records of usage 2 name. A digest names nothing but a certificate that was sent (RFC 7671
// §5.2.2); a whole certificate need not be sent; a key may have signed any of the certificates sent (RFC 7671 §5.2.3).
func (e *examination) anchors() (out []anchor) {
	for _, r := range e.counted {
		if r.Usage != daneTA {
			continue
		}
		found := false
		for _, s := range e.above() {
			if s.matches(r) {
				out = append(out, anchor{r, s.cert, true})
				found = true
			}
		}
		switch {
		case r.Matching == full && r.Selector == spki:
			out = append(out, e.bareAnchors(r)...)
		case r.Matching == full && !found:
			if c, err := x509.ParseCertificate(r.Data); err == nil && !c.Equal(e.sent[0].cert) {
				out = append(out, anchor{r, c, false})
			}
		}
	}
	return out
}

// bareAnchors makes a root of a mere key for each issuer named by a certificate that was sent. Where the issuer itself
// was sent under that name and with that key it is the anchor, with its dates and constraints, and no other is made.
func (e *examination) bareAnchors(r dns.TLSA) (out []anchor) {
	key, err := x509.ParsePKIXPublicKey(r.Data)
	if err != nil {
		return nil
	}
	var done [][]byte
	for _, s := range e.above() {
		if s.matches(r) {
			done = append(done, s.cert.RawSubject)
		}
	}
	for _, s := range e.sent {
		name := s.cert.RawIssuer
		if slices.ContainsFunc(done, func(d []byte) bool { return bytes.Equal(d, name) }) {
			continue
		}
		done = append(done, name)
		out = append(out, anchor{r, bareRoot(s.cert, r.Data, key), false})
	}
	return out
}

// bareRoot is a root that holds nothing but a key and the name of below's issuer. It is never written as DER: its
// octets only tell it from others.
func bareRoot(below *x509.Certificate, spki []byte, key any) *x509.Certificate {
	return &x509.Certificate{
		Raw:                     slices.Concat([]byte("key "), below.RawIssuer, spki),
		Version:                 3,
		SerialNumber:            big.NewInt(1),
		RawSubject:              below.RawIssuer,
		Subject:                 below.Issuer,
		RawSubjectPublicKeyInfo: spki,
		PublicKeyAlgorithm:      algorithm(key),
		PublicKey:               key,
		NotBefore:               time.Unix(0, 0).AddDate(-1000, 0, 0),
		NotAfter:                time.Unix(0, 0).AddDate(8000, 0, 0),
		BasicConstraintsValid:   true,
		IsCA:                    true,
		MaxPathLen:              -1,
	}
}
