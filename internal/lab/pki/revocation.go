package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Signer says whose key signs a CRL or an OCSP answer.
type Signer int

// The signers.
const (
	ByIntermediate Signer = iota // the ordinary intermediate, which issues the leaves
	ByRoot                       // the root, which issues the intermediate
	ByStranger                   // a stranger's key under the intermediate's name
)

// CRL says how a revocation list is made. The zero value is a good, empty one of the ordinary intermediate.
type CRL struct {
	Signer  Signer
	Revoked []*x509.Certificate
	Reason  int       // of each (RFC 5280 §5.3.1)
	At      time.Time // of each; zero: two hours before now
	// ThisUpdate and NextUpdate; zero is an hour before now and a week after now.
	ThisUpdate, NextUpdate time.Time
	Number                 int64 // 0: 1

	Delta bool // a delta CRL (RFC 5280 §5.2.4)
	// The issuing distribution point (RFC 5280 §5.2.5) is left out unless one of these is set.
	Points                                 []string // the addresses it says it is published at
	OnlyUsers, OnlyCAs, OnlyAttributes     bool
	SomeReasons, Indirect, CriticalUnknown bool
	// Strangers are entries of other certificates, to make a list long.
	Strangers int
	// CriticalEntry gives the entries a critical extension nobody understands.
	CriticalEntry bool
}

// CRL makes a revocation list, DER. It panics on what cannot be encoded.
func (ca *CA) CRL(o CRL) []byte {
	t := &x509.RevocationList{
		Number:     big.NewInt(max(o.Number, 1)),
		ThisUpdate: orTime(o.ThisUpdate, ca.now.Add(-time.Hour)),
		NextUpdate: orTime(o.NextUpdate, ca.now.AddDate(0, 0, 7)),
	}
	add := func(serial *big.Int) {
		e := x509.RevocationListEntry{SerialNumber: serial, RevocationTime: orTime(o.At, ca.now.Add(-2*time.Hour)),
			ReasonCode: o.Reason}
		if o.CriticalEntry {
			e.ExtraExtensions = []pkix.Extension{unknownExtension()}
		}
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, e)
	}
	for i := range o.Strangers {
		add(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 150), big.NewInt(int64(i))))
	}
	for _, c := range o.Revoked {
		add(c.SerialNumber)
	}
	if o.Delta {
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: mustMarshal(1)})
	}
	if o.scoped() {
		t.ExtraExtensions = append(t.ExtraExtensions, o.issuingPoint())
	}
	if o.CriticalUnknown {
		t.ExtraExtensions = append(t.ExtraExtensions, unknownExtension())
	}
	signer := ca.signer(o.Signer)
	der, err := x509.CreateRevocationList(rand.Reader, t, signer.cert, signer.key)
	if err != nil {
		panic(fmt.Sprintf("pki: CRL: %v", err))
	}
	return der
}

func (ca *CA) signer(s Signer) authority {
	switch s {
	case ByRoot:
		return ca.root
	case ByStranger:
		cert := *ca.sub.cert
		key := ECDSA.generate()
		cert.PublicKey = key.Public()
		return authority{&cert, key}
	}
	return ca.sub
}

func (o *CRL) scoped() bool {
	return len(o.Points) > 0 || o.OnlyUsers || o.OnlyCAs || o.OnlyAttributes || o.SomeReasons || o.Indirect
}

// issuingPoint encodes RFC 5280 §5.2.5.
func (o *CRL) issuingPoint() pkix.Extension {
	type pointName struct {
		FullName []asn1.RawValue `asn1:"optional,tag:0"`
	}
	idp := struct {
		Point          pointName      `asn1:"optional,tag:0"`
		OnlyUsers      bool           `asn1:"optional,tag:1"`
		OnlyCAs        bool           `asn1:"optional,tag:2"`
		SomeReasons    asn1.BitString `asn1:"optional,tag:3"`
		Indirect       bool           `asn1:"optional,tag:4"`
		OnlyAttributes bool           `asn1:"optional,tag:5"`
	}{OnlyUsers: o.OnlyUsers, OnlyCAs: o.OnlyCAs, Indirect: o.Indirect, OnlyAttributes: o.OnlyAttributes}
	for _, url := range o.Points {
		idp.Point.FullName = append(idp.Point.FullName,
			asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)})
	}
	if o.SomeReasons {
		idp.SomeReasons = asn1.BitString{Bytes: []byte{0x60}, BitLength: 3}
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: mustMarshal(idp)}
}

// Point is one CRL distribution point of a certificate that says more than an address (RFC 5280 §4.2.1.13).
type Point struct {
	URL         string
	SomeReasons bool
	CRLIssuer   []byte // DER of the name of whoever issues the CRL, nil for the certificate's issuer
}

// PointsExtension encodes distribution points, for Options.Extensions.
func PointsExtension(points ...Point) pkix.Extension {
	type pointName struct {
		FullName []asn1.RawValue `asn1:"optional,tag:0"`
	}
	type point struct {
		Name    pointName       `asn1:"optional,tag:0"`
		Reasons asn1.BitString  `asn1:"optional,tag:1"`
		Issuer  []asn1.RawValue `asn1:"optional,tag:2"`
	}
	var list []point
	for _, p := range points {
		out := point{Name: pointName{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(p.URL)}}}}
		if p.SomeReasons {
			out.Reasons = asn1.BitString{Bytes: []byte{0x60}, BitLength: 3}
		}
		if p.CRLIssuer != nil {
			out.Issuer = []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true,
				Bytes: p.CRLIssuer}}
		}
		list = append(list, out)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: mustMarshal(list)}
}

// NoRevocation is the extension by which an issuer says that it gives no revocation information (RFC 9608).
func NoRevocation() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 56}, Value: []byte{5, 0}}
}

// statusRequest is the TLS feature extension with the feature status_request (RFC 7633).
func statusRequest() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: mustMarshal([]int{5})}
}

// Delegate says who signs an OCSP answer in the signer's place (RFC 6960 §4.2.2.2).
type Delegate int

// The delegates. Only Appointed may speak.
const (
	NoDelegate Delegate = iota
	Appointed           // with the extended key usage OCSPSigning
	Usurper             // an ordinary certificate of the signer
	Retired             // appointed, and its time is over
)

// Answer says how an OCSP answer is made. The zero value with Cert is a good one of the ordinary intermediate.
type Answer struct {
	Cert     *x509.Certificate
	Signer   Signer
	Delegate Delegate
	// Status is ocsp.Good, ocsp.Revoked or ocsp.Unknown; Reason goes with ocsp.Revoked.
	Status, Reason int
	At             time.Time // of the revocation; zero: two hours before now
	// ThisUpdate and NextUpdate; zero is an hour before now and four days after now. Endless leaves NextUpdate out.
	ThisUpdate, NextUpdate time.Time
	Endless                bool
	Serial                 *big.Int // nil: that of Cert
	SendIssuer             bool     // embed the signer's own certificate
}

// Answer makes an OCSP response, DER, as a server staples it or a responder sends it.
func (ca *CA) Answer(o Answer) []byte {
	signer := ca.signer(o.Signer)
	issuer := signer.cert
	t := ocsp.Response{
		Status: o.Status, SerialNumber: o.Cert.SerialNumber, RevocationReason: o.Reason,
		RevokedAt:  orTime(o.At, ca.now.Add(-2*time.Hour)),
		ThisUpdate: orTime(o.ThisUpdate, ca.now.Add(-time.Hour)),
		NextUpdate: orTime(o.NextUpdate, ca.now.AddDate(0, 0, 4)),
	}
	if o.Endless {
		t.NextUpdate = time.Time{}
	}
	if o.Serial != nil {
		t.SerialNumber = o.Serial
	}
	by := signer
	if o.Delegate != NoDelegate {
		by = ca.delegate(signer, o.Delegate)
		t.Certificate = by.cert
	} else if o.SendIssuer {
		t.Certificate = issuer
	}
	der, err := ocsp.CreateResponse(issuer, by.cert, t, by.key)
	if err != nil {
		panic(fmt.Sprintf("pki: OCSP answer: %v", err))
	}
	return der
}

func (ca *CA) delegate(signer authority, d Delegate) authority {
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "OCSP responder"},
		NotBefore: ca.now.Add(-48 * time.Hour), NotAfter: ca.now.AddDate(0, 1, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		BasicConstraintsValid: true,
	}
	switch d {
	case Usurper:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case Retired:
		t.NotAfter = ca.now.Add(-24 * time.Hour)
	}
	key := ECDSA.generate()
	return authority{mustParse(sign(t, signer, key.Public(), 0)), crypto.Signer(key)}
}
