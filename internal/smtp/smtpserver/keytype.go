package smtpserver

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"

	"postern/internal/smtp"
)

// keyType names the kind of key of a certificate of ours, for the stamp.
func keyType(cert *tls.Certificate) string {
	if cert.Leaf != nil {
		return smtp.KeyType(cert.Leaf)
	}
	if len(cert.Certificate) == 0 {
		return ""
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return ""
	}
	return smtp.KeyType(leaf)
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
