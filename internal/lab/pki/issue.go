package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"time"
)

// Options say what leaf to issue. The zero value with Names is a good certificate below the ordinary intermediate.
type Options struct {
	// Names are the DNS names of the SAN, written as they are: NUL, blanks, odd wildcards and any other bytes.
	Names []string
	IPs   []netip.Addr // IP names of the SAN
	URIs  []string     // URI names of the SAN
	NoSAN bool         // leave the SAN out, whatever the names are
	CN    string       // common name; "": the first of Names

	// NotBefore and NotAfter; zero is an hour before now and 90 days after now, or 90 days from the other one where
	// only that one is given and lies beyond.
	NotBefore, NotAfter time.Time

	Key Key
	// Public, when set, is certified instead of a new key; the result then has no private key.
	Public crypto.PublicKey
	// Signature made by the issuer; 0: what fits its key. SHA1WithRSA and MD5WithRSA need an issuer with an RSA key.
	Signature x509.SignatureAlgorithm

	// SelfSigned signs the leaf with its own key; no chain is sent.
	SelfSigned bool
	// Intermediates stand between root and leaf, the one below the root first. nil is the one ordinary intermediate,
	// an empty list signs with the root itself.
	Intermediates []Intermediate
	// OmitIntermediates sends the leaf alone. To leave out only some set Omit on those.
	OmitIntermediates bool
	// Extra certificates are sent after the chain.
	Extra []*x509.Certificate
	// SendRoot sends the root too, after everything else.
	SendRoot bool
	// Reverse sends the certificates above the leaf in reverse order.
	Reverse bool

	// EKU are the extended key usages; nil is serverAuth and clientAuth, an empty list leaves the extension out.
	EKU []x509.ExtKeyUsage
	// KeyUsage; 0 is digitalSignature.
	KeyUsage x509.KeyUsage
	// CA marks the leaf as a CA.
	CA bool
	// CriticalUnknown adds a critical extension nobody understands.
	CriticalUnknown bool
	// NegativeSerial makes the serial number negative, as some old CAs did.
	NegativeSerial bool
	// Constraint, when set, is a name constraint in the leaf, where it does not belong.
	Constraint string

	// CRLs and OCSP are the addresses where revocation is asked for; MustStaple promises a stapled answer (RFC 7633).
	CRLs, OCSP []string
	MustStaple bool
	// Extensions are added as they are.
	Extensions []pkix.Extension
}

// Intermediate says how one intermediate is made. The zero value is a good one, valid for two years around now.
type Intermediate struct {
	Name                string    // common name; "": "Intermediate"
	NotBefore, NotAfter time.Time // zero: a year before and after now
	Key                 Key
	Signature           x509.SignatureAlgorithm // as in Options
	NotCA               bool                    // basic constraints say it is no CA
	NoConstraints       bool                    // no basic constraints at all
	// PathLen is the path length constraint plus one: 1 allows no further intermediate below; 0 is no constraint.
	PathLen         int
	Permitted       []string // DNS name constraints
	Excluded        []string
	PermittedEmail  []string
	EKU             []x509.ExtKeyUsage // nil: none
	KeyUsage        x509.KeyUsage      // 0: certificate and CRL signing
	CriticalUnknown bool
	Names           []string // DNS SANs of the intermediate itself
	CRLs, OCSP      []string // where revocation of the intermediate is asked for
	Omit            bool     // used to sign, but not sent
}

// Certificate is what Issue returns: ready for crypto/tls, and as PEM files.
type Certificate struct {
	TLS tls.Certificate
	// CertPEM is the chain as sent, leaf first. KeyPEM is PKCS #8, nil where Options.Public was set.
	CertPEM, KeyPEM []byte
	// Leaf is nil when the certificate is so odd that crypto/x509 does not parse it.
	Leaf *x509.Certificate
	// Chain is every certificate as sent, leaf first; nil when Leaf is.
	Chain []*x509.Certificate
}

// Issue makes a certificate. It panics on options that cannot be encoded; that is a mistake of the caller.
func (ca *CA) Issue(o Options) *Certificate {
	issuer, above := ca.path(o)
	var key crypto.Signer
	public := o.Public
	if public == nil {
		key = o.Key.generate()
		public = key.Public()
	}
	t := ca.leaf(o)
	if o.SelfSigned {
		issuer = authority{t, key}
	}
	leaf := sign(t, issuer, public, o.Signature)
	if o.NegativeSerial {
		leaf = negate(leaf, issuer.key)
	}
	chain := append([][]byte{leaf}, above...)
	return pack(chain, key)
}

// path makes the intermediates of o and returns the last one and what is sent above the leaf.
func (ca *CA) path(o Options) (authority, [][]byte) {
	issuer, sent := ca.root, [][]byte(nil)
	if o.Intermediates == nil {
		issuer, sent = ca.sub, [][]byte{ca.sub.cert.Raw}
	}
	for _, i := range o.Intermediates {
		issuer = ca.intermediate(issuer, i)
		if !i.Omit {
			sent = append([][]byte{issuer.cert.Raw}, sent...)
		}
	}
	if o.SelfSigned || o.OmitIntermediates {
		sent = nil
	}
	for _, c := range o.Extra {
		sent = append(sent, c.Raw)
	}
	if o.SendRoot {
		sent = append(sent, ca.root.cert.Raw)
	}
	if o.Reverse {
		reversed := make([][]byte, 0, len(sent))
		for i := len(sent) - 1; i >= 0; i-- {
			reversed = append(reversed, sent[i])
		}
		sent = reversed
	}
	return issuer, sent
}

func (ca *CA) leaf(o Options) *x509.Certificate {
	cn := o.CN
	if cn == "" && len(o.Names) > 0 && len(o.Names[0]) <= 64 {
		cn = o.Names[0]
	}
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: cn},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  o.CA,
	}
	t.NotBefore, t.NotAfter = validity(o.NotBefore, o.NotAfter, ca.now.Add(-time.Hour), ca.now.AddDate(0, 0, 90))
	if o.EKU != nil {
		t.ExtKeyUsage = o.EKU
	}
	if o.KeyUsage != 0 {
		t.KeyUsage = o.KeyUsage
	}
	if o.Constraint != "" {
		t.PermittedDNSDomains = []string{o.Constraint}
	}
	if !o.NoSAN && len(o.Names)+len(o.IPs)+len(o.URIs) > 0 {
		t.ExtraExtensions = append(t.ExtraExtensions, san(o.Names, o.IPs, o.URIs))
	}
	if o.CriticalUnknown {
		t.ExtraExtensions = append(t.ExtraExtensions, unknownExtension())
	}
	if o.MustStaple {
		t.ExtraExtensions = append(t.ExtraExtensions, statusRequest())
	}
	t.CRLDistributionPoints, t.OCSPServer = o.CRLs, o.OCSP
	t.ExtraExtensions = append(t.ExtraExtensions, o.Extensions...)
	return t
}

func (ca *CA) intermediate(issuer authority, o Intermediate) authority {
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: o.Name, Organization: []string{"Postern laboratory"}},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           o.EKU,
		IsCA:                  !o.NotCA && !o.NoConstraints,
		BasicConstraintsValid: !o.NoConstraints,
		MaxPathLen:            o.PathLen - 1,
		MaxPathLenZero:        o.PathLen == 1,
		PermittedDNSDomains:   o.Permitted,
		ExcludedDNSDomains:    o.Excluded,

		PermittedEmailAddresses: o.PermittedEmail,

		CRLDistributionPoints: o.CRLs,
		OCSPServer:            o.OCSP,
	}
	if o.Name == "" {
		t.Subject.CommonName = "Intermediate"
	}
	t.NotBefore, t.NotAfter = validity(o.NotBefore, o.NotAfter, ca.now.AddDate(-1, 0, 0), ca.now.AddDate(1, 0, 0))
	if !t.IsCA {
		t.MaxPathLen, t.MaxPathLenZero = 0, false
	}
	if o.KeyUsage != 0 {
		t.KeyUsage = o.KeyUsage
	}
	if len(o.Names) > 0 {
		t.ExtraExtensions = append(t.ExtraExtensions, san(o.Names, nil, nil))
	}
	if o.CriticalUnknown {
		t.ExtraExtensions = append(t.ExtraExtensions, unknownExtension())
	}
	key := o.Key.generate()
	return authority{mustParse(sign(t, issuer, key.Public(), o.Signature)), key}
}

// validity fills in what was not given, keeping the default length where a default would lie on the wrong side.
func validity(from, to, defaultFrom, defaultTo time.Time) (time.Time, time.Time) {
	length := defaultTo.Sub(defaultFrom)
	switch {
	case from.IsZero() && to.IsZero():
		return defaultFrom, defaultTo
	case from.IsZero():
		if from = defaultFrom; !from.Before(to) {
			from = to.Add(-length)
		}
	case to.IsZero():
		if to = defaultTo; !from.Before(to) {
			to = from.Add(length)
		}
	}
	return from, to
}

func pack(chain [][]byte, key crypto.Signer) *Certificate {
	out := &Certificate{TLS: tls.Certificate{Certificate: chain}}
	for _, der := range chain {
		out.CertPEM = append(out.CertPEM, certPEM(der)...)
	}
	if key != nil {
		out.TLS.PrivateKey = key
		out.KeyPEM = keyPEM(key)
	}
	for _, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			out.Chain = nil
			return out
		}
		out.Chain = append(out.Chain, cert)
	}
	out.Leaf = out.Chain[0]
	out.TLS.Leaf = out.Leaf
	return out
}
