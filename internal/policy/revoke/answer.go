package revoke

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1"   // hashes of certificate identifiers (RFC 6960 §4.1.1)
	_ "crypto/sha256" // likewise
	_ "crypto/sha512" // likewise
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"postern/internal/policy"
)

// verdict is what one source says about one certificate.
type verdict struct {
	revoked    bool
	at         time.Time // of the revocation
	reason     int
	this, next time.Time
}

// answer words a verdict; by names what said so.
func (v verdict) answer(source, by string, q *question) policy.RevocationAnswer {
	a := policy.RevocationAnswer{Status: policy.NotRevoked, Source: source, AsOf: v.this, Until: v.next}
	if !v.revoked {
		a.Detail = q.name() + " is not revoked, says " + by
		return a
	}
	a.Status = policy.Revoked
	a.Detail = fmt.Sprintf("%s was revoked at %s%s, says %s", q.name(), v.at.UTC().Format(time.RFC3339),
		reasonText(v.reason), by)
	return a
}

// hold is the reason of a revocation that may be taken back (RFC 5280 §5.3.1).
const hold = 6

func reasonText(code int) string {
	switch code {
	case 1:
		return " (its key was compromised)"
	case 2:
		return " (the CA's key was compromised)"
	case 3:
		return " (the owner's affiliation changed)"
	case 4:
		return " (superseded)"
	case 5:
		return " (no longer used)"
	case hold:
		return " (on hold)"
	case 9:
		return " (a privilege was withdrawn)"
	}
	return ""
}

// endless is how long an OCSP answer without nextUpdate counts.
const endless = 24 * time.Hour

// judge reads an OCSP response and proves that it speaks, now, for the issuer about the certificate (RFC 6960 §3.2).
// The error says in our words what is wrong.
func judge(der []byte, q *question) (verdict, error) {
	if err := speaksOf(der, q); err != nil {
		return verdict{}, err
	}
	r, err := ocsp.ParseResponseForCert(der, q.cert, nil)
	if err != nil {
		return verdict{}, parseFault(err)
	}
	if err := authorised(r, q); err != nil {
		return verdict{}, err
	}
	v := verdict{revoked: r.Status == ocsp.Revoked, at: r.RevokedAt, reason: r.RevocationReason, this: r.ThisUpdate,
		next: r.NextUpdate}
	if v.next.IsZero() {
		v.next = v.this.Add(endless)
	}
	switch {
	case v.this.After(q.now.Add(skew)):
		return verdict{}, fmt.Errorf("it is from the future (%s)", date(v.this))
	case v.next.Before(q.now.Add(-skew)):
		return verdict{}, fmt.Errorf("it ran out at %s", date(v.next))
	case r.Status != ocsp.Good && r.Status != ocsp.Revoked:
		return verdict{}, errors.New("the responder does not know the certificate")
	}
	return v, nil
}

func parseFault(err error) error {
	var refused ocsp.ResponseError
	if errors.As(err, &refused) {
		return fmt.Errorf("the responder refused (%s)", refused.Status)
	}
	return errors.New("it cannot be read, or its signature is wrong")
}

// The outside of an OCSP response, as far as it is looked at before the library computes with it (RFC 6960 §4.2.1).
type (
	outside struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	basic struct {
		TBS          signedPart
		Algorithm    pkix.AlgorithmIdentifier
		Signature    asn1.BitString
		Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	signedPart struct {
		Version   int `asn1:"optional,default:0,explicit,tag:0"`
		Responder asn1.RawValue
		Produced  time.Time `asn1:"generalized"`
		Responses []single
	}
	single struct {
		ID certificateID
	}
	certificateID struct {
		Hash            pkix.AlgorithmIdentifier
		NameHash, KeyID []byte
		Serial          *big.Int
	}
)

// maxEmbedded is how many certificates and statuses of a response are looked at.
const maxEmbedded = 20

// speaksOf looks at a response before anything is computed: it is about this certificate of this issuer, and whatever
// key it brings along is of a size we compute with.
func speaksOf(der []byte, q *question) error {
	broken := errors.New("it is no OCSP response")
	var out outside
	var b basic
	if rest, err := asn1.Unmarshal(der, &out); err != nil || len(rest) > 0 {
		return broken
	}
	if out.Status != 0 {
		return nil // the library names it
	}
	if rest, err := asn1.Unmarshal(out.Bytes.Response, &b); err != nil || len(rest) > 0 ||
		len(b.Certificates) > maxEmbedded || len(b.TBS.Responses) > maxEmbedded {
		return broken
	}
	if len(b.Certificates) > 0 {
		c, err := x509.ParseCertificate(b.Certificates[0].FullBytes)
		if err != nil {
			return errors.New("the responder's certificate cannot be read")
		}
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && (key.N.BitLen() > 8192 || key.N.BitLen() < 2048) {
			return errors.New("the responder's key is too weak or too large")
		}
	}
	about := func(s single) bool { return s.ID.Serial != nil && s.ID.Serial.Cmp(q.cert.SerialNumber) == 0 }
	if !slices.ContainsFunc(b.TBS.Responses, about) {
		return errors.New("it is about another certificate")
	}
	for _, s := range b.TBS.Responses {
		if about(s) && !s.ID.isIssuer(q.issuer) {
			return errors.New("it is about a certificate of another issuer")
		}
	}
	return nil
}

// isIssuer reports whether the identifier names the issuer by its name and key.
func (id certificateID) isIssuer(issuer *x509.Certificate) bool {
	var hash crypto.Hash
	switch id.Hash.Algorithm.String() {
	case "1.3.14.3.2.26":
		hash = crypto.SHA1
	case "2.16.840.1.101.3.4.2.1":
		hash = crypto.SHA256
	case "2.16.840.1.101.3.4.2.2":
		hash = crypto.SHA384
	case "2.16.840.1.101.3.4.2.3":
		hash = crypto.SHA512
	default:
		return false
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &info); err != nil {
		return false
	}
	name, key := hash.New(), hash.New()
	name.Write(issuer.RawSubject)
	key.Write(info.Key.RightAlign())
	return bytes.Equal(name.Sum(nil), id.NameHash) && bytes.Equal(key.Sum(nil), id.KeyID)
}

// authorised asks who signed: the issuer, or somebody the issuer itself appointed (RFC 6960 §4.2.2.2). Whether the
// appointment was revoked is not asked: such certificates are short-lived and say so.
func authorised(r *ocsp.Response, q *question) error {
	if weak(r.SignatureAlgorithm) {
		return fmt.Errorf("it is signed with %s, which can be forged or is not known", r.SignatureAlgorithm)
	}
	by := r.Certificate
	if by == nil || by.Equal(q.issuer) {
		if r.CheckSignatureFrom(q.issuer) != nil {
			return errors.New("its signature is not the issuer's")
		}
		return nil
	}
	switch { // the library proved that by signed the answer
	case !bytes.Equal(by.RawIssuer, q.issuer.RawSubject), weak(by.SignatureAlgorithm),
		q.issuer.CheckSignature(by.SignatureAlgorithm, by.RawTBSCertificate, by.Signature) != nil:
		return errors.New("its signer was not appointed by the issuer")
	case !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("its signer may not sign OCSP answers: the certificate lacks the usage OCSPSigning")
	case q.now.After(by.NotAfter.Add(skew)), q.now.Before(by.NotBefore.Add(-skew)):
		return fmt.Errorf("its signer's certificate is valid from %s to %s only", date(by.NotBefore), date(by.NotAfter))
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
