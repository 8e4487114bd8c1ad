package smtp_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/mail"
	"postern/internal/smtp"
)

var updateCiphers = flag.Bool("update-ciphers", false, "rewrite testdata/ciphers.golden")

// TestCipherNamesAreOpenSSLs prints the facts of every suite crypto/tls knows. The names in the golden file were
// compared with "openssl ciphers -V -stdname" of OpenSSL 3, those of RC4 and triple DES with its manual page.
func TestCipherNamesAreOpenSSLs(t *testing.T) {
	var out strings.Builder
	suites := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	slices.SortFunc(suites, func(a, b *tls.CipherSuite) int { return int(a.ID) - int(b.ID) })
	for _, suite := range suites {
		f := smtp.Facts(&tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: suite.ID}, "")
		fmt.Fprintf(&out, "0x%04X %s %s %d\n", suite.ID, suite.Name, f.Cipher, f.Bits)
		if strings.HasPrefix(f.Cipher, "0x") || f.Bits == 0 {
			t.Errorf("%s has no name", suite.Name)
		}
	}
	const file = "testdata/ciphers.golden"
	if *updateCiphers {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Error(d)
	}
}

func TestFacts(t *testing.T) {
	if smtp.Facts(nil, "") != nil {
		t.Error("no TLS has facts")
	}
	cert := func(key any) []*x509.Certificate { return []*x509.Certificate{{PublicKey: key}} }
	for _, c := range []struct {
		state tls.ConnectionState
		key   string
		want  mail.TLS
	}{
		{tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256,
			CurveID: tls.X25519MLKEM768, ServerName: "mx.test", PeerCertificates: cert(&ecdsa.PublicKey{})}, "",
			mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519MLKEM768",
				Signature: "ECDSA", ServerName: "mx.test"}},
		{tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, DidResume: true,
			PeerCertificates: cert(&rsa.PublicKey{})}, "",
			mail.TLS{Version: "TLSv1.2", Cipher: "DES-CBC3-SHA", Bits: 112, Signature: "RSA", Resumed: true}},
		{tls.ConnectionState{Version: tls.VersionTLS11, CipherSuite: tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
			CurveID: tls.CurveP256, PeerCertificates: cert(ed25519.PublicKey{})}, "",
			mail.TLS{Version: "TLSv1.1", Cipher: "ECDHE-RSA-AES256-SHA", Bits: 256, Group: "P-256", Signature: "Ed25519"}},
		{tls.ConnectionState{Version: tls.VersionTLS10, CipherSuite: 0xabcd, CurveID: 0x1234,
			PeerCertificates: cert("odd")}, "RSA",
			mail.TLS{Version: "TLSv1", Cipher: "0xabcd", Group: "0x1234", Signature: "RSA"}},
	} {
		if d := cmp.Diff(&c.want, smtp.Facts(&c.state, c.key)); d != "" {
			t.Error(d)
		}
	}
}
