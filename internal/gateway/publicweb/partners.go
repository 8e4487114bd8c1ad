package publicweb

import (
	"encoding/pem"
	"html/template"
	"strings"
	"time"

	"postern/internal/policy"
)

// Partners is what partners are shown of us: what they need to trust this gateway, and to see a change come. It holds
// nothing that a TLS handshake or DNS would not tell, but the next keys, which are for DNS too.
type Partners struct {
	// Host is the gateway's name, the only one under which the page is served.
	Host string
	// At is when this was so.
	At time.Time
	// Ports are those that mail servers send to, each with what TLS is spoken there: "25 (STARTTLS): TLS 1.0 to 1.3".
	Ports        []string
	Certificates []PartnerCertificate
	// NextKeys are hex digests of the public keys that will come (SPKI, SHA-256).
	NextKeys []string
}

// PartnerCertificate is a chain of ours.
type PartnerCertificate struct {
	// To says who is shown it.
	To string
	// Chain is what is sent, leaf first; Root is what it leads to, nil where that is not known.
	Chain []policy.Certificate
	Root  *policy.Certificate
	// Change says what will become of it.
	Change string
}

// The paths of the pages for partners. All are at Partners.Host.
const (
	partnersPath     = "/"
	partnersTextPath = "/certificates.txt"
	partnersPEMPath  = "/certificates.pem"
)

// at renders what is at a path; "" where nothing is.
func (p *Partners) at(path string) (kind, text string) {
	switch path {
	case partnersPath:
		var b strings.Builder
		if err := partnersPage.Execute(&b, p); err != nil {
			return "", ""
		}
		return "text/html; charset=utf-8", b.String()
	case partnersTextPath:
		return "text/plain; charset=utf-8", p.text()
	case partnersPEMPath:
		return "application/x-pem-file", p.pem()
	}
	return "", ""
}

// day is a moment as it is shown.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Shown are the lines about a certificate, each a name and a value.
func (c PartnerCertificate) Shown() (out [][2]string) {
	for i, one := range c.Chain {
		what := "issued by"
		if i == 0 {
			what = "certificate"
		}
		out = append(out, lines(what, one, i == 0)...)
	}
	if c.Root != nil {
		out = append(out, lines("root", *c.Root, false)...)
	}
	return append(out, [2]string{"change", c.Change})
}

func lines(what string, c policy.Certificate, leaf bool) [][2]string {
	out := [][2]string{{what, c.Subject}}
	if leaf {
		out = append(out, [2]string{"names", strings.Join(c.DNSNames, ", ")}, [2]string{"issuer", c.Issuer},
			[2]string{"valid from", day(c.NotBefore)})
	}
	out = append(out, [2]string{"ends", day(c.NotAfter)}, [2]string{"key", c.Key}, [2]string{"SHA-256", c.SHA256})
	if leaf {
		out = append(out, [2]string{"TLSA", "3 1 1 " + c.SPKI})
	}
	return out
}

// Now is when it was so.
func (p *Partners) Now() string { return day(p.At) }

func (p *Partners) text() string {
	var b strings.Builder
	b.WriteString("Mail server " + p.Host + ", " + p.Now() + "\n\n")
	for _, port := range p.Ports {
		b.WriteString("port " + port + "\n")
	}
	for _, c := range p.Certificates {
		b.WriteString("\nshown to " + c.To + "\n")
		for _, l := range c.Shown() {
			b.WriteString("  " + l[0] + ": " + l[1] + "\n")
		}
	}
	for _, k := range p.NextKeys {
		b.WriteString("\nnext key, TLSA 3 1 1 " + k + "\n")
	}
	b.WriteString("\nthese certificates with their roots, PEM: https://" + p.Host + partnersPEMPath + "\n")
	return b.String()
}

// pem has every certificate once, the roots included.
func (p *Partners) pem() string {
	var b strings.Builder
	seen := map[string]bool{}
	add := func(c policy.Certificate) {
		if len(c.Raw) == 0 || seen[c.SHA256] {
			return
		}
		seen[c.SHA256] = true
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Builder takes everything
	}
	for _, c := range p.Certificates {
		for _, one := range c.Chain {
			add(one)
		}
		if c.Root != nil {
			add(*c.Root)
		}
	}
	return b.String()
}

// partnersPage is the page: no script, no style, no picture, no link elsewhere.
var partnersPage = template.Must(template.New("partners").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>Mail server {{.Host}}</title>
<h1>Mail server {{.Host}}</h1>
<p>Certificates, for mail servers of partners, as of {{.Now}}. <a href="/certificates.txt">Plain text</a>, <a href="/certificates.pem">PEM</a></p>
<ul>{{range .Ports}}<li>Port {{.}}</li>{{end}}</ul>
{{range .Certificates}}<h2>Shown to {{.To}}</h2>
<dl>{{range .Shown}}<dt>{{index . 0}}</dt><dd>{{index . 1}}</dd>{{end}}</dl>
{{end}}{{with .NextKeys}}<h2>Next keys</h2>
<ul>{{range .}}<li>TLSA 3 1 1 {{.}}</li>{{end}}</ul>{{end}}
</html>
`))
