package rooms

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

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
	cert, err := identity.Read(identity.File{Cert: string(cfg.Delivery.ClientCertificate), Key: string(cfg.Delivery.ClientKey)})
	if err != nil {
		return nil, fmt.Errorf("the client certificate cannot be read: %w", err)
	}
	return &cert, nil
}

// ownFile is a certificate of ours and who sees it.
type ownFile struct {
	Kind, File string
	Host       mail.Domain // the name partners expect; zero where they expect none
}

// OwnFiles lists our own certificates.
func OwnFiles(cfg *config.Config) (out []ownFile) {
	for i, c := range cfg.TLS.Certificates {
		f := ownFile{Kind: check.OwnServer, File: string(c.Cert)}
		if i == 0 { // the others are for clients that ask for other names
			f.Host = cfg.Hostname
		}
		out = append(out, f)
	}
	if file := string(cfg.Delivery.ClientCertificate); file != "" {
		out = append(out, ownFile{Kind: check.OwnClient, File: file})
	}
	return out
}

// ReadChain reads a certificate as it is sent: ours, then its intermediates.
func ReadChain(file string) (chain []*x509.Certificate, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	if chain, err = certpem.Chain(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return chain, nil
}
