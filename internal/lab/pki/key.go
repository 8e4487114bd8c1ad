package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Key is a kind of key. The zero value is ECDSA.
type Key int

// The kinds of keys. RSA keys take noticeable time to make: about 0.1 s for 2048 bits.
const (
	ECDSA    Key = iota // P-256
	ECDSA224            // P-224, weak
	ECDSA384            // P-384
	RSA2048
	RSA1024 // weak
	Ed25519
)

func (k Key) generate() crypto.Signer {
	key, err := k.make()
	if err != nil {
		panic(fmt.Sprintf("pki: no key of kind %d: %v", k, err))
	}
	return key
}

func (k Key) make() (crypto.Signer, error) {
	switch k {
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSA224:
		return ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case ECDSA384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA1024:
		return rsa.GenerateKey(rand.Reader, 1024)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("unknown kind")
}

func keyPEM(key crypto.Signer) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(fmt.Sprintf("pki: private key: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
