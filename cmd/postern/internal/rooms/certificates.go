package rooms

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"postern/internal/check"
	"postern/internal/config"
	"postern/internal/gateway/identity"
	"postern/internal/mail"
	"postern/internal/platform/certpem"
)

// ClientCertificate reads what is shown to servers that ask; nil where nothing is.
func ClientCertificate(cfg *config.Config) (*tls.Certificate, error) {
	if cfg.Delivery.ClientCertificate == "" {
		return nil, nil
	}
	cert, err := identity.Read(identity.File{Cert: string(cfg.Delivery.ClientCertificate),
		Key: string(cfg.Delivery.ClientKey)})
	if err != nil {
		return nil, fmt.Errorf("the client certificate cannot be read: %w", err)
	}
	return &cert, nil
}

// OwnFile is a certificate of ours and who sees it.
type OwnFile struct {
	kind, file string
	host       mail.Domain // the name partners expect; zero where they expect none
}

// Kind is check.OwnServer or check.OwnClient.
func (f OwnFile) Kind() string { return f.kind }

// OwnFiles lists our own certificates.
func OwnFiles(cfg *config.Config) (out []OwnFile) {
	for i, c := range cfg.TLS.Certificates {
		f := OwnFile{kind: check.OwnServer, file: string(c.Cert)}
		if i == 0 { // the others are for clients that ask for other names
			f.host = cfg.Hostname
		}
		out = append(out, f)
	}
	if file := ACMEFile(cfg); file != "" {
		f := OwnFile{kind: check.OwnServer, file: file}
		if len(cfg.TLS.Certificates) == 0 {
			f.host = cfg.Hostname
		}
		out = append(out, f)
	}
	if file := string(cfg.Delivery.ClientCertificate); file != "" {
		out = append(out, OwnFile{kind: check.OwnClient, file: file})
	}
	return out
}

// Look reads the certificate as it is sent, with its intermediates, and looks at it as partners do who trust roots. It
// warns within notice of its end.
func (f OwnFile) Look(roots *x509.CertPool, now time.Time, notice time.Duration) (
	own check.Own, chain []*x509.Certificate, err error,
) {
	text, err := os.ReadFile(f.file)
	if err != nil {
		return own, nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	if chain, err = certpem.Chain(text); err != nil {
		return own, nil, fmt.Errorf("%s: %w", f.file, err)
	}
	own = check.LookAtOwn(f.kind, chain, f.host, roots, now, notice)
	own.File = f.file
	return own, chain, nil
}
