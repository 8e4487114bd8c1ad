package smtp

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"postern/internal/mail"
)

// Facts puts what a handshake reached into the words of log, stamp and trace. certificateKey is the key type of the
// server's certificate ("ECDSA", "RSA", "Ed25519"), which the server side must name itself; "" takes it from the
// certificate the peer sent, which is right on the client side. Client is left nil. A nil cs gives nil: no TLS.
func Facts(cs *tls.ConnectionState, certificateKey string) *mail.TLS {
	if cs == nil {
		return nil
	}
	if certificateKey == "" && len(cs.PeerCertificates) > 0 {
		certificateKey = KeyType(cs.PeerCertificates[0])
	}
	name, bits := cipherFacts(cs.CipherSuite)
	return &mail.TLS{
		Version:    versionName(cs.Version),
		Cipher:     name,
		Bits:       bits,
		Group:      groupName(cs.CurveID),
		Signature:  certificateKey,
		ServerName: cs.ServerName,
		Resumed:    cs.DidResume,
	}
}

// KeyType names the kind of a certificate's public key: "ECDSA", "RSA", "Ed25519", "" for others.
func KeyType(cert *x509.Certificate) string {
	switch cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return ""
}

// versionName is the protocol version as OpenSSL, and so Postfix, prints it.
func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return fmt.Sprintf("0x%04x", v)
}

// TLSVersion is the protocol version that Facts names so, as in crypto/tls; 0 for a name it does not give.
func TLSVersion(name string) uint16 {
	for v := uint16(tls.VersionTLS10); v <= tls.VersionTLS13; v++ {
		if versionName(v) == name {
			return v
		}
	}
	return 0
}

// groupName is the key-exchange group's name in IANA's spelling, with the short names of the NIST curves; "" for RSA
// key exchange.
func groupName(id tls.CurveID) string {
	switch id {
	case 0:
		return ""
	case tls.CurveP256:
		return "P-256"
	case tls.CurveP384:
		return "P-384"
	case tls.CurveP521:
		return "P-521"
	case tls.X25519:
		return "X25519"
	case tls.X25519MLKEM768:
		return "X25519MLKEM768"
	case tls.SecP256r1MLKEM768:
		return "SecP256r1MLKEM768"
	case tls.SecP384r1MLKEM1024:
		return "SecP384r1MLKEM1024"
	}
	return fmt.Sprintf("0x%04x", uint16(id))
}

// CipherBits is the strength of a suite's symmetric cipher in bits, as Facts says it; 0 for one that is not known.
func CipherBits(id uint16) int {
	_, bits := cipherFacts(id)
	return bits
}

// cipherFacts returns OpenSSL's name of a suite (for TLS 1.3 IANA's) and the strength of its symmetric cipher in bits.
// Triple DES counts as 112, as in OpenSSL.
func cipherFacts(id uint16) (name string, bits int) {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256:
		return "TLS_AES_128_GCM_SHA256", 128
	case tls.TLS_AES_256_GCM_SHA384:
		return "TLS_AES_256_GCM_SHA384", 256
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		return "TLS_CHACHA20_POLY1305_SHA256", 256
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		return "ECDHE-ECDSA-AES128-GCM-SHA256", 128
	case tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		return "ECDHE-ECDSA-AES256-GCM-SHA384", 256
	case tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return "ECDHE-ECDSA-CHACHA20-POLY1305", 256
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:
		return "ECDHE-RSA-AES128-GCM-SHA256", 128
	case tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
		return "ECDHE-RSA-AES256-GCM-SHA384", 256
	case tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return "ECDHE-RSA-CHACHA20-POLY1305", 256
	}
	return olderCipherFacts(id)
}

// olderCipherFacts knows the suites of the legacy rung: CBC, RC4, triple DES and RSA key exchange.
func olderCipherFacts(id uint16) (name string, bits int) {
	switch id {
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256:
		return "ECDHE-ECDSA-AES128-SHA256", 128
	case tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:
		return "ECDHE-RSA-AES128-SHA256", 128
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:
		return "ECDHE-ECDSA-AES128-SHA", 128
	case tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:
		return "ECDHE-ECDSA-AES256-SHA", 256
	case tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:
		return "ECDHE-RSA-AES128-SHA", 128
	case tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:
		return "ECDHE-RSA-AES256-SHA", 256
	case tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA:
		return "ECDHE-ECDSA-RC4-SHA", 128
	case tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA:
		return "ECDHE-RSA-RC4-SHA", 128
	case tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA:
		return "ECDHE-RSA-DES-CBC3-SHA", 112
	case tls.TLS_RSA_WITH_AES_128_GCM_SHA256:
		return "AES128-GCM-SHA256", 128
	case tls.TLS_RSA_WITH_AES_256_GCM_SHA384:
		return "AES256-GCM-SHA384", 256
	case tls.TLS_RSA_WITH_AES_128_CBC_SHA256:
		return "AES128-SHA256", 128
	case tls.TLS_RSA_WITH_AES_128_CBC_SHA:
		return "AES128-SHA", 128
	case tls.TLS_RSA_WITH_AES_256_CBC_SHA:
		return "AES256-SHA", 256
	case tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA:
		return "DES-CBC3-SHA", 112
	case tls.TLS_RSA_WITH_RC4_128_SHA:
		return "RC4-SHA", 128
	}
	return fmt.Sprintf("0x%04x", id), 0
}
