package certpem

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"postern/internal/lab/pki"
)

// What openssl, certbot and others write, in each form, has the same public key.
func TestThePublicKeyOfWhateverPeopleHave(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	must := func(der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	ecPublic, rsaPublic := must(x509.MarshalPKIXPublicKey(ec.Public())), must(x509.MarshalPKIXPublicKey(rsaKey.Public()))
	leaf := pki.New(now, "CA").Issue(pki.Options{Names: []string{"gw.test"}, Public: ec.Public()})
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(ec))})
	for name, c := range map[string]struct {
		text   []byte
		want   []byte
		secret bool
	}{
		"a public key":          {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: ecPublic}), ecPublic, false},
		"a certificate":         {leaf.CertPEM, ecPublic, false},
		"a private key":         {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(ec))}), ecPublic, true},
		"as openssl ecparam":    {slices.Concat(armour("EC PARAMETERS", []byte{6, 1, 1}), sec1), ecPublic, true},
		"as openssl rsa -trad":  {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}), rsaPublic, true},
		"after words and a BOM": {slices.Concat([]byte("\ufeffthe next key\n"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: rsaPublic})), rsaPublic, false},
	} {
		got, secret, err := PublicKey(c.text)
		if err != nil || !bytes.Equal(got, c.want) || secret != c.secret {
			t.Errorf("%s: %v, secret %v", name, err, secret)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":          {"", "neither"},
		"a request":        {string(armour("CERTIFICATE REQUEST", []byte{1})), "neither"},
		"damaged":          {string(armour("PUBLIC KEY", []byte{1, 2, 3})), "cannot be read"},
		"damaged, private": {string(armour("PRIVATE KEY", []byte{1, 2, 3})), "cannot be read"},
		"damaged, cert":    {string(armour("CERTIFICATE", []byte{1, 2, 3})), "cannot be read"},
		"a passphrase":     {string(armour("ENCRYPTED PRIVATE KEY", []byte{1})), "openssl pkey"},
		"an old form":      {string(armour("RSA PUBLIC KEY", []byte{1})), "old form"},
		"cut off":          {string(sec1[:len(sec1)/2]), "neither"},
	} {
		if got, _, err := PublicKey([]byte(c.text)); err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
