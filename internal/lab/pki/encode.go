package pki

import (
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/netip"
)

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(fmt.Sprintf("pki: serial number: %v", err))
	}
	return n.Add(n, big.NewInt(1))
}

// san encodes a SAN without judging its names (RFC 5280 §4.2.1.6).
func san(names []string, ips []netip.Addr, uris []string) pkix.Extension {
	var list []asn1.RawValue
	add := func(tag int, value []byte) {
		list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: value})
	}
	for _, n := range names {
		add(2, []byte(n))
	}
	for _, u := range uris {
		add(6, []byte(u))
	}
	for _, ip := range ips {
		add(7, ip.AsSlice())
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: mustMarshal(list)}
}

// unknownExtension is critical and of an arc nobody uses.
func unknownExtension() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55738, 666, 1}, Critical: true,
		Value: []byte{5, 0}}
}

// sign makes the DER of t. The library signs with everything but MD5.
func sign(t *x509.Certificate, issuer authority, public crypto.PublicKey, algorithm x509.SignatureAlgorithm) []byte {
	t.SignatureAlgorithm = algorithm
	if algorithm == x509.MD5WithRSA {
		t.SignatureAlgorithm = x509.SHA256WithRSA
	}
	der, err := x509.CreateCertificate(rand.Reader, t, issuer.cert, public, issuer.key)
	if err != nil {
		panic(fmt.Sprintf("pki: certificate for %q: %v", t.Subject.CommonName, err))
	}
	if algorithm == x509.MD5WithRSA {
		return signMD5(der, issuer.key)
	}
	return der
}

// certificate and tbs are RFC 5280 §4.1, as far as they must be taken apart to change the algorithm.
type certificate struct {
	TBS       asn1.RawValue
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// signMD5 replaces algorithm and signature of der.
func signMD5(der []byte, key crypto.Signer) []byte {
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4},
		Parameters: asn1.NullRawValue}
	return resign(der, algorithm, func(fields []asn1.RawValue) {
		fields[2] = asn1.RawValue{FullBytes: mustMarshal(algorithm)}
	}, func(tbs []byte) ([]byte, error) {
		digest := md5.Sum(tbs)
		return rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), crypto.MD5, digest[:])
	})
}

// negate makes the serial number of der negative. Its signature is with SHA-256.
func negate(der []byte, key crypto.Signer) []byte {
	var c certificate
	mustUnmarshal(der, &c)
	return resign(der, c.Algorithm, func(fields []asn1.RawValue) {
		fields[1] = asn1.RawValue{FullBytes: mustMarshal(big.NewInt(-421))}
	}, func(tbs []byte) ([]byte, error) {
		digest := sha256.Sum256(tbs)
		return key.Sign(rand.Reader, digest[:], crypto.SHA256)
	})
}

// resign changes the fields of a certificate, which begin with version, serial number and algorithm, and signs it anew.
func resign(der []byte, algorithm pkix.AlgorithmIdentifier, change func([]asn1.RawValue),
	signature func(tbs []byte) ([]byte, error)) []byte {
	var c certificate
	mustUnmarshal(der, &c)
	var fields []asn1.RawValue
	for rest := c.TBS.Bytes; len(rest) > 0; {
		var field asn1.RawValue
		rest = mustUnmarshal(rest, &field)
		fields = append(fields, field)
	}
	change(fields)
	tbs := mustMarshal(fields)
	signed, err := signature(tbs)
	if err != nil {
		panic(fmt.Sprintf("pki: signature: %v", err))
	}
	return mustMarshal(certificate{asn1.RawValue{FullBytes: tbs}, algorithm,
		asn1.BitString{Bytes: signed, BitLength: 8 * len(signed)}})
}

func mustMarshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("pki: encode: %v", err))
	}
	return der
}

func mustUnmarshal(der []byte, v any) []byte {
	rest, err := asn1.Unmarshal(der, v)
	if err != nil {
		panic(fmt.Sprintf("pki: decode: %v", err))
	}
	return rest
}

func mustParse(der []byte) *x509.Certificate {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("pki: parse: %v", err))
	}
	return cert
}
