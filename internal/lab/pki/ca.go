package pki

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"time"
)

// CA is a root with one intermediate below it. It never changes after New, so it is safe for concurrent use.
type CA struct {
	now  time.Time
	root authority
	sub  authority
}

// authority is a certificate that can sign others, and its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Root says how a root is made. The zero value is a good ECDSA root, valid for ten years on both sides of now.
type Root struct {
	Name                string    // common name
	NotBefore, NotAfter time.Time // zero: ten years before and after now
	Key                 Key
	Signature           x509.SignatureAlgorithm // 0: what fits the key; MD5WithRSA and SHA1WithRSA work
	// CRLs and OCSP are the addresses where revocation of the ordinary intermediate is asked for.
	CRLs, OCSP []string
}

// New returns a CA with a good root and a good intermediate, both named after name. now anchors all validity periods.
func New(now time.Time, name string) *CA { return NewRoot(now, Root{Name: name}) }

// NewRoot is New with a root of a special kind. It panics when r cannot be made (a signature that does not fit the
// key).
func NewRoot(now time.Time, r Root) *CA {
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: r.Name, Organization: []string{"Postern laboratory"}},
		NotBefore:             orTime(r.NotBefore, now.AddDate(-10, 0, 0)),
		NotAfter:              orTime(r.NotAfter, now.AddDate(10, 0, 0)),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	key := r.Key.generate()
	ca := &CA{now: now, root: authority{key: key}}
	ca.root.cert = mustParse(sign(t, authority{t, key}, key.Public(), r.Signature))
	ca.sub = ca.intermediate(ca.root, Intermediate{Name: r.Name + " intermediate", CRLs: r.CRLs, OCSP: r.OCSP})
	return ca
}

// Root returns the root certificate. The caller must not change it.
func (ca *CA) Root() *x509.Certificate { return ca.root.cert }

// RootPEM returns the root certificate as a PEM file.
func (ca *CA) RootPEM() []byte { return certPEM(ca.root.cert.Raw) }

// Intermediate returns the certificate of the ordinary intermediate. The caller must not change it.
func (ca *CA) Intermediate() *x509.Certificate { return ca.sub.cert }

// Pool returns a new pool that holds only this root.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.root.cert)
	return pool
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func orTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}
