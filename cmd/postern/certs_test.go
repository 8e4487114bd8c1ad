package main

import (
	"os"
	"path/filepath"
	"time"

	"postern/internal/lab/pki"
)

// writeTestCertificates puts the files that scripts name into a folder: gw (good, for gw.test) and old (expired).
func writeTestCertificates(dir string) error {
	now := time.Now()
	ca := pki.New(now, "Script CA")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, end := range map[string]time.Time{"gw": now.AddDate(1, 0, 0), "old": now.AddDate(0, 0, -1)} {
		cert := ca.Issue(pki.Options{Names: []string{"gw.test"}, NotAfter: end})
		if err := os.WriteFile(filepath.Join(dir, name+".pem"), cert.CertPEM, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".key"), cert.KeyPEM, 0o600); err != nil {
			return err
		}
	}
	return nil
}
