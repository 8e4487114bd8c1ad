package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"postern/internal/certpem"
)

// FileProblem is something wrong with a file that the configuration names.
type FileProblem struct {
	// Key is where the file is named: "tls.certificates[0].cert".
	Key string
	// What is wrong, the file's name included.
	What string
	// Fatal: the gateway would not start, or not do what the key asks. Otherwise it is worth a look.
	Fatal bool
}

// CheckFiles opens the certificates, keys and roots that the configuration names and examines them as of now.
func (c *Config) CheckFiles(now time.Time) []FileProblem {
	var out []FileProblem
	covered := len(c.TLS.Certificates) == 0
	for i, cert := range c.TLS.Certificates {
		key := fmt.Sprintf("tls.certificates[%d]", i)
		leaf, problems := checkPair(key, cert.Cert, cert.Key, now)
		out = append(out, problems...)
		covered = covered || leaf == nil || leaf.VerifyHostname(c.Hostname.String()) == nil
	}
	if !covered {
		out = append(out, FileProblem{"tls.certificates", fmt.Sprintf("no certificate is for the hostname %s; "+
			"servers that check the name will not trust this gateway", c.Hostname), false})
	}
	if c.Delivery.ClientCertificate != "" {
		_, problems := checkPair("delivery.client_certificate", c.Delivery.ClientCertificate, c.Delivery.ClientKey, now)
		out = append(out, problems...)
	}
	out = append(out, checkRoots("relay.client_certificates", c.Relay.ClientCertificates)...)
	for i, d := range c.Domain {
		out = append(out, checkRoots(fmt.Sprintf("domain[%d].trust", i), d.Trust)...)
	}
	if r := c.Trust.Roots; r != RootsSystem && r != RootsBundled {
		out = append(out, checkRoots("trust.roots", Path(r))...)
	}
	if info, err := os.Stat(string(c.Data)); err == nil && !info.IsDir() {
		out = append(out, FileProblem{"data", string(c.Data) + " is not a folder", true})
	}
	if info, err := os.Stat(c.path); err == nil && len(c.User) > 0 && info.Mode().Perm()&0o007 != 0 {
		out = append(out, FileProblem{"user", fmt.Sprintf("%s has password hashes and can be read or written by everyone on this machine "+
			"(mode %04o); `chmod o= %s`", c.path, info.Mode().Perm(), c.path), false})
	}
	return out
}

// checkPair examines a certificate and its key. The leaf is nil when it could not be read.
func checkPair(key string, certFile, keyFile Path, now time.Time) (*x509.Certificate, []FileProblem) {
	leaf, err := readPair(string(certFile), string(keyFile))
	if err != nil {
		return nil, []FileProblem{{key, fmt.Sprintf("%s with %s: %v", certFile, keyFile, err), true}}
	}
	var out []FileProblem
	if info, err := os.Stat(string(keyFile)); err == nil && info.Mode().Perm()&0o007 != 0 {
		out = append(out, FileProblem{key, fmt.Sprintf("%s can be read or written by everyone on this machine (mode %04o); `chmod o= %s`",
			keyFile, info.Mode().Perm(), keyFile), true})
	}
	switch date := time.DateOnly; {
	case now.After(leaf.NotAfter):
		out = append(out, FileProblem{key, fmt.Sprintf("%s expired on %s", certFile, leaf.NotAfter.Format(date)), false})
	case now.Before(leaf.NotBefore):
		out = append(out, FileProblem{key, fmt.Sprintf("%s is valid from %s only", certFile, leaf.NotBefore.Format(date)), false})
	case now.AddDate(0, 0, 14).After(leaf.NotAfter):
		out = append(out, FileProblem{key, fmt.Sprintf("%s expires on %s", certFile, leaf.NotAfter.Format(date)), false})
	}
	return leaf, out
}

// checkRoots examines a file of CA certificates; an empty path is none.
func checkRoots(key string, file Path) []FileProblem {
	if file == "" {
		return nil
	}
	if err := readRoots(string(file)); err != nil {
		return []FileProblem{{key, fmt.Sprintf("%s: %v", file, err), true}}
	}
	return nil
}

func readRoots(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			return pe.Err
		}
		return err
	}
	_, err = certpem.Trusted(text)
	return err
}

// readPair reads a chain and its key, as the gateway does, and returns the leaf.
func readPair(certFile, keyFile string) (*x509.Certificate, error) {
	chain, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	certs, err := certpem.Chain(chain)
	if err != nil {
		return nil, err
	}
	_, err = tls.X509KeyPair(certpem.Encode(certs), key)
	return certs[0], err
}
