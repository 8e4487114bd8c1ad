package roots

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"postern/internal/platform/certpem"
	"postern/internal/platform/filewatch"
	"postern/internal/policy"
)

// systemFiles are where operating systems keep their roots in one file; the first that exists is used. crypto/x509
// reads them too, but only once in a process's life, and a root that the system removed must stop being trusted.
func systemFiles() []string {
	if name := os.Getenv("SSL_CERT_FILE"); name != "" {
		return []string{name}
	}
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Alpine
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
		"/etc/pki/tls/certs/ca-bundle.crt",                  // older Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/ssl/cert.pem",                                 // BSD, macOS, Alpine
	}
}

// readSystem reads the system's roots. Where there is no file of them, the library's own search decides, and where that
// finds nothing either the bundled set stands in. A file that is there and broken is an error.
func readSystem(have *set) (*set, error) {
	for _, name := range systemFiles() {
		if _, err := os.Stat(name); os.IsNotExist(err) {
			continue
		}
		s, err := readFile(name, have, certpem.Understood)
		if err != nil {
			return nil, &Error{Trust: policy.PublicTrust, File: name, Err: err,
				Hint: `repair the system's certificates (on Debian: update-ca-certificates --fresh), or set roots = "bundled"`}
		}
		return s, nil
	}
	if have != nil {
		return have, nil // a file that vanished keeps its last content
	}
	if pool, err := x509.SystemCertPool(); err == nil && !pool.Equal(x509.NewCertPool()) {
		return &set{pool: pool, file: System}, nil
	}
	return readBundled(nil)
}

// readBundled builds the pool of the Mozilla roots this build carries.
func readBundled(have *set) (*set, error) {
	if have != nil {
		return have, nil
	}
	s := &set{pool: x509.NewCertPool()}
	var all [][]byte
	for root := range bundle.Roots() {
		cert, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, &Error{Trust: policy.PublicTrust, File: Bundled, Hint: "this build is damaged: install it anew",
				Err: fmt.Errorf("a root of the bundled set cannot be read: %w", err)}
		}
		all = append(all, root.Certificate)
		if root.Constraint == nil {
			s.pool.AddCert(cert)
		} else {
			s.pool.AddCertWithConstraint(cert, root.Constraint)
		}
		s.count++
	}
	s.mark = filewatch.Of(all...)
	return s, nil
}

// PublicCAs lists those of certs that are public CAs: of the Mozilla programme, as this build carries it, or certified
// by one of its roots. Anybody can have a certificate of theirs.
func PublicCAs(certs []*x509.Certificate) (out []*x509.Certificate) {
	pool, keys := x509.NewCertPool(), map[string]bool{}
	for root := range bundle.Roots() {
		if cert, err := x509.ParseCertificate(root.Certificate); err == nil {
			pool.AddCert(cert)
			keys[string(cert.RawSubjectPublicKeyInfo)] = true
		}
	}
	for _, c := range certs {
		// When it was made, since one that has ended was public as well.
		_, err := c.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
			CurrentTime: c.NotBefore.Add(time.Second)})
		if err == nil || keys[string(c.RawSubjectPublicKeyInfo)] {
			out = append(out, c)
		}
	}
	return out
}

func (s *set) bundled() bool { return s.file == "" }
