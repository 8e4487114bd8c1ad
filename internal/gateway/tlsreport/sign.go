package tlsreport

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/emersion/go-msgauth/dkim"
)

// leastBits is the size of an RSA key below which no signature counts for much.
const leastBits = 2048

// Key reads a private key for DKIM, PEM: RSA of 2048 bits or more, or Ed25519.
func Key(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("there is no key in PEM form")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return strong(key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("there is no private key in it: the PEM block says %q", block.Type)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return strong(key)
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("DKIM has RSA and Ed25519 keys, and this is another one")
}

func strong(key *rsa.PrivateKey) (crypto.Signer, error) {
	if bits := key.N.BitLen(); bits < leastBits {
		return nil, fmt.Errorf("an RSA key of %d bits is too weak, it needs %d", bits, leastBits)
	}
	return key, nil
}

// signed are the fields that a signature covers. Those named twice cannot be added later (RFC 6376 §8.15).
var signed = []string{"From", "From", "To", "To", "Subject", "Subject", "Date", "Date", "Message-ID",
	"TLS-Report-Domain", "TLS-Report-Domain",
	"TLS-Report-Submitter", "TLS-Report-Submitter", "TLS-Required", "Auto-Submitted", "MIME-Version", "Content-Type",
	"Content-Type"}

// Signing returns what signs mail for a domain, with the key whose public half stands below the selector.
func Signing(domain, selector string, key crypto.Signer) func(text []byte) ([]byte, error) {
	return func(text []byte) ([]byte, error) {
		var out bytes.Buffer
		err := dkim.Sign(&out, bytes.NewReader(text), &dkim.SignOptions{Domain: domain, Selector: selector, Signer: key,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
			HeaderKeys: signed})
		return out.Bytes(), err
	}
}
