package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"postern/internal/check"
	"postern/internal/config"
	"postern/internal/mail"
	"postern/internal/platform/certpem"
	"postern/internal/policy"
)

// trustCmd is the verb about trust.
type trustCmd struct {
	Show trustShowCmd `cmd:"" help:"Show our own certificate chain as partners will see it."`
}

// trustShowCmd shows our own certificates.
type trustShowCmd struct {
	JSON   bool `help:"Print newline-delimited JSON objects."`
	PEM    bool `name:"pem" help:"Print the certificates in PEM form, to publish or to send to a partner."`
	Strict bool `help:"Exit code 1 when there is a warning."`
	Days   int  `default:"30" help:"Warn this many days before a certificate ends, and more urgently at 14, 7 and 1."`
}

// Run shows each certificate of the configuration: those of the listeners, and the one shown to other servers.
func (c *trustShowCmd) Run(a *app) error {
	if c.JSON && c.PEM {
		return usage(errors.New("--json and --pem do not go together"), "choose one")
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	trusted, err := openRoots(cfg, warnOfRoots(a.stderr))
	if err != nil {
		return err
	}
	pools, err := trusted.Pools(policy.PublicTrust)
	if err != nil {
		return err
	}
	list := ownFiles(cfg)
	if len(list) == 0 {
		return failure(errors.New("no certificate is configured, so STARTTLS is not offered"), "set tls.certificates in "+cfg.Path(), exitShort)
	}
	warned := false
	for i, f := range list {
		chain, err := readChain(f.file)
		if err != nil {
			return withHint(err, "put the certificate and its intermediates there, PEM, the server's own first")
		}
		own := check.LookAtOwn(f.kind, chain, f.host, pools[policy.PublicTrust], time.Now(), time.Duration(c.Days)*24*time.Hour)
		own.File = f.file
		warned = warned || len(own.Warnings) > 0
		if err := c.print(a, i, &own, chain); err != nil {
			return err
		}
	}
	if warned && c.Strict {
		return short("")
	}
	return nil
}

// ownFile is a certificate of ours and who sees it.
type ownFile struct {
	kind, file string
	host       mail.Domain // the name partners expect; zero where they expect none
}

func ownFiles(cfg *config.Config) (out []ownFile) {
	for i, c := range cfg.TLS.Certificates {
		f := ownFile{kind: check.OwnServer, file: string(c.Cert)}
		if i == 0 { // the others are for clients that ask for other names
			f.host = cfg.Hostname
		}
		out = append(out, f)
	}
	if file := string(cfg.Delivery.ClientCertificate); file != "" {
		out = append(out, ownFile{kind: check.OwnClient, file: file})
	}
	return out
}

func readChain(file string) (chain []*x509.Certificate, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	if chain, err = certpem.Chain(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return chain, nil
}

func (c *trustShowCmd) print(a *app, i int, own *check.Own, chain []*x509.Certificate) error {
	switch {
	case c.JSON:
		return a.object(own)
	case c.PEM:
		return printPEM(a, own, chain)
	}
	if i > 0 {
		fmt.Fprintln(a.stdout)
	}
	fmt.Fprintf(a.stdout, "%s certificate %s\n", own.Kind, own.File)
	for _, w := range own.Warnings {
		a.detail("  ", "! "+string(w.Reason), w.Text)
	}
	if len(own.Warnings) == 0 {
		a.detail("  ", "✓ good", "partners can verify it until "+own.EndsAt.Format(time.RFC3339))
	}
	for j := range own.Chain {
		a.ownCertificate(fmt.Sprintf("%d. sent", j+1), &own.Chain[j])
	}
	if own.Root != nil && own.Root.SHA256 != own.Chain[len(own.Chain)-1].SHA256 {
		a.ownCertificate("root, not sent", own.Root)
	}
	return nil
}

// certificate prints what people ask of one certificate.
func (a *app) certificate(indent, label string, c *policy.Certificate) {
	a.detail(indent, label, c.Subject)
	a.detail(indent, "  issued by", c.Issuer)
	a.detail(indent, "  valid", c.NotBefore.Format(time.RFC3339)+" to "+c.NotAfter.Format(time.RFC3339))
	a.detail(indent, "  names", strings.Join(c.DNSNames, ", "))
	a.detail(indent, "  key", c.Key+", signed with "+c.Signature)
	a.detailAt(indent+"  ", "SHA-256", 8, c.SHA256)
}

func (a *app) ownCertificate(label string, c *policy.Certificate) {
	fmt.Fprintln(a.stdout)
	a.certificate("  ", label, c)
	a.detailAt("    ", "pin", 4, "sha256:"+c.SPKI)
}

// printPEM prints the chain as sent, then the root it leads to, each with a line that says what it is.
func printPEM(a *app, own *check.Own, chain []*x509.Certificate) error {
	out := chain
	if root := own.RootCertificate(); root != nil && !root.Equal(chain[len(chain)-1]) {
		out = append(out[:len(out):len(out)], root)
	}
	for i, cert := range out {
		what := fmt.Sprintf("%s certificate, %d of the chain as sent", own.Kind, i+1)
		if i >= len(chain) {
			what = "the root it leads to, not sent"
		}
		subject := own.Root
		if i < len(own.Chain) {
			subject = &own.Chain[i]
		}
		fmt.Fprintf(a.stdout, "# %s\n", what)
		if subject != nil {
			fmt.Fprintf(a.stdout, "# %s, until %s\n", subject.Subject, cert.NotAfter.UTC().Format(time.RFC3339))
		}
		if err := pem.Encode(a.stdout, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return err
		}
	}
	return nil
}
