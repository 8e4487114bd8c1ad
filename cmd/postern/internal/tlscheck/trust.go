package tlscheck

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/check"
	"postern/internal/policy"
)

// TrustCmd is the verb about trust.
type TrustCmd struct {
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
func (c *trustShowCmd) Run(a *cli.App) error {
	if c.JSON && c.PEM {
		return cli.Usage(errors.New("--json and --pem do not go together"), "choose one")
	}
	cfg, err := a.Load()
	if err != nil {
		return err
	}
	trusted, err := rooms.OpenRoots(cfg, rooms.WarnOfRoots(a.Stderr))
	if err != nil {
		return err
	}
	pools, err := trusted.Pools(policy.PublicTrust)
	if err != nil {
		return err
	}
	list := rooms.OwnFiles(cfg)
	if len(list) == 0 && cfg.TLS.ACME.Used() {
		return cli.Failure(errors.New("there is no certificate yet"),
			"start the gateway: it makes the key, and asks the CA", cli.ExitShort)
	}
	if len(list) == 0 {
		return cli.Failure(errors.New("no certificate is configured, so STARTTLS is not offered"),
			"set tls.certificates in "+cfg.Path(), cli.ExitShort)
	}
	warned := false
	for i, f := range list {
		own, chain, err := f.Look(pools[policy.PublicTrust], time.Now(), time.Duration(c.Days)*24*time.Hour)
		if err != nil {
			return cli.WithHint(err, "put the certificate and its intermediates there, PEM, the server's own first")
		}
		warned = warned || len(own.Warnings) > 0
		if err := c.print(a, i, &own, chain); err != nil {
			return err
		}
	}
	if warned && c.Strict {
		return cli.Short("")
	}
	return nil
}

func (c *trustShowCmd) print(a *cli.App, i int, own *check.Own, chain []*x509.Certificate) error {
	switch {
	case c.JSON:
		return a.Object(own)
	case c.PEM:
		return printPEM(a, own, chain)
	}
	if i > 0 {
		fmt.Fprintln(a.Stdout)
	}
	fmt.Fprintf(a.Stdout, "%s certificate %s\n", own.Kind, own.File)
	for _, w := range own.Warnings {
		a.Detail("  ", "! "+string(w.Reason), w.Text)
	}
	if len(own.Warnings) == 0 {
		a.Detail("  ", "✓ good", "partners can verify it until "+own.EndsAt.Format(time.RFC3339))
	}
	for j := range own.Chain {
		ownCertificate(a, fmt.Sprintf("%d. sent", j+1), &own.Chain[j])
	}
	if own.Root != nil && own.Root.SHA256 != own.Chain[len(own.Chain)-1].SHA256 {
		ownCertificate(a, "root, not sent", own.Root)
	}
	return nil
}

// certificate prints what people ask of one certificate.
func certificate(a *cli.App, indent, label string, c *policy.Certificate) {
	a.Detail(indent, label, c.Subject)
	a.Detail(indent, "  issued by", c.Issuer)
	a.Detail(indent, "  valid", c.NotBefore.Format(time.RFC3339)+" to "+c.NotAfter.Format(time.RFC3339))
	a.Detail(indent, "  names", strings.Join(c.DNSNames, ", "))
	a.Detail(indent, "  key", c.Key+", signed with "+c.Signature)
	a.DetailAt(indent+"  ", "SHA-256", 8, c.SHA256)
}

func ownCertificate(a *cli.App, label string, c *policy.Certificate) {
	fmt.Fprintln(a.Stdout)
	certificate(a, "  ", label, c)
	a.DetailAt("    ", "pin", 4, "sha256:"+c.SPKI)
}

// printPEM prints the chain as sent, then the root it leads to, each with a line that says what it is.
func printPEM(a *cli.App, own *check.Own, chain []*x509.Certificate) error {
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
		fmt.Fprintf(a.Stdout, "# %s\n", what)
		if subject != nil {
			fmt.Fprintf(a.Stdout, "# %s, until %s\n", subject.Subject, cert.NotAfter.UTC().Format(time.RFC3339))
		}
		if err := pem.Encode(a.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return err
		}
	}
	return nil
}
