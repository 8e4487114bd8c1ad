package certpem

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// ErrNoKey means a text without a key, and without a certificate that has one.
var ErrNoKey = errors.New("it holds neither a public key, a certificate nor a private key in PEM form")

// PublicKey reads the public key of a text, as DER (RFC 5280 §4.1: SubjectPublicKeyInfo): of the first block that is a
// public key, a certificate or a private key, of which nothing else is kept. Secret says that it was a private key.
// Parameters may stand before it.
func PublicKey(text []byte) (spki []byte, secret bool, err error) {
	for rest := bytes.TrimPrefix(text, []byte("\ufeff")); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return nil, false, ErrNoKey
		}
		switch b.Type {
		case "PUBLIC KEY":
			if _, err := x509.ParsePKIXPublicKey(b.Bytes); err != nil {
				return nil, false, errors.New("its public key cannot be read")
			}
			return b.Bytes, false, nil
		case label, oldLabel:
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, false, errors.New("its certificate cannot be read")
			}
			return c.RawSubjectPublicKeyInfo, false, nil
		case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			spki, err = publicPart(b)
			return spki, true, err
		case "ENCRYPTED PRIVATE KEY":
			return nil, true, errors.New("its private key is encrypted; " +
				"`openssl pkey -pubout` writes the public key alone")
		case "RSA PUBLIC KEY":
			return nil, false, errors.New("its key is in an old form; " +
				"`openssl rsa -RSAPublicKey_in -pubout` writes the usual one")
		}
	}
}

// PrivateKey reads the first private key of a text. Parameters and certificates may stand before it.
func PrivateKey(text []byte) (crypto.Signer, error) {
	for rest := bytes.TrimPrefix(text, []byte("\ufeff")); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return nil, errors.New("it holds no private key in PEM form")
		}
		switch b.Type {
		case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			return private(b)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("its private key is encrypted; `openssl pkey` writes it without a password")
		}
	}
}

// publicPart is the public key of a private one.
func publicPart(b *pem.Block) ([]byte, error) {
	signer, err := private(b)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(signer.Public())
}

// private is the private key of a block.
func private(b *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch b.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("its private key cannot be read")
	}
	return signer, nil
}
