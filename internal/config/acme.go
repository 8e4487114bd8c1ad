package config

import (
	"fmt"
	"net/url"
	"slices"

	"postern/internal/mail"
)

// ACME is a certificate that the gateway gets from a CA (RFC 8555).
type ACME struct {
	// The CA's directory. Empty: none, and nothing else may be given.
	Directory string `toml:"directory"`
	// Where the CA may write to. Empty: nowhere.
	Email mail.Address `toml:"email"`
	// What the certificate is for. Empty: the hostname, and the policy hosts of sts where a listener serves them.
	Names []mail.Domain `toml:"names"`
	// An account that the CA knows already.
	EAB EAB `toml:"eab"`
	// How the names are proved. Empty: by what there are listeners for.
	Challenges []Challenge `toml:"challenges"`
	// Whether the terms of the CA are agreed to.
	Agree bool `toml:"agree"`
	// File of the private key to be certified, PEM. Empty: the gateway makes one.
	Key Path `toml:"key"`
	// File of CA certificates that vouch for the directory. Empty: the public roots.
	Trust Path `toml:"trust"`
	// Whether the certificate is shown to servers that ask for one, where delivery.client_certificate is empty.
	Client bool `toml:"client"`
}

// EAB is an external account (RFC 8555 §7.3.4).
type EAB struct {
	// What the CA calls it.
	KeyID string `toml:"key_id"`
	// File of its secret, in base64url as CAs show it.
	Key Path `toml:"key"`
}

// Challenge is how a CA has a name proved.
type Challenge string

// The challenges.
const (
	HTTP01    Challenge = "http-01"
	TLSALPN01 Challenge = "tls-alpn-01"
)

// UnmarshalText reads a name of a challenge.
func (c *Challenge) UnmarshalText(text []byte) error {
	switch v := Challenge(text); v {
	case HTTP01, TLSALPN01:
		*c = v
		return nil
	}
	return fmt.Errorf("unknown challenge %q, want http-01 or tls-alpn-01", text)
}

// Used reports whether there is a CA.
func (a *ACME) Used() bool { return a.Directory != "" }

// By reports whether names are proved by a challenge.
func (a *ACME) By(c Challenge) bool { return a.Used() && slices.Contains(a.Challenges, c) }

// Offered reports whether there is a certificate to do TLS with.
func (t *TLS) Offered() bool { return len(t.Certificates) > 0 || t.ACME.Used() }

// has reports whether a listener has a mode.
func (c *Config) has(mode Mode) bool {
	return slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Mode == mode })
}

// completeACME fills in names and challenges.
func (c *Config) completeACME() {
	a := &c.TLS.ACME
	if !a.Used() {
		return
	}
	if len(a.Names) == 0 {
		a.Names = []mail.Domain{c.Hostname}
		for i := range c.Domain {
			host, err := mail.ParseDomain("mta-sts." + c.Domain[i].Name.String())
			if c.Domain[i].STS.Published() && c.has(ModeWeb) && err == nil {
				a.Names = append(a.Names, host)
			}
		}
	}
	if len(a.Challenges) > 0 {
		return
	}
	if c.has(ModeACME) {
		a.Challenges = append(a.Challenges, HTTP01)
	}
	if c.has(ModeWeb) {
		a.Challenges = append(a.Challenges, TLSALPN01)
	}
	if len(a.Challenges) == 0 {
		a.Challenges = []Challenge{HTTP01} // nothing answers it, and package danger says so
	}
}

// mostNames is how many names CAs put into one certificate.
const mostNames = 100

func (c *Config) checkACME(d *decoder) {
	a := &c.TLS.ACME
	if !a.Used() {
		if len(a.Names)+len(a.Challenges) > 0 || !a.Email.IsNull() || a.EAB != (EAB{}) || a.Agree || a.Key != "" ||
			a.Trust != "" || a.Client {
			d.fail("tls.acme.directory", "must name the CA",
				`write directory = "https://acme-v02.api.letsencrypt.org/directory"`)
		}
		return
	}
	u, err := url.Parse(a.Directory)
	if err != nil || u.Host == "" || u.Scheme != "https" || u.User != nil || u.Fragment != "" {
		d.fail("tls.acme.directory", "must be an https address",
			`write directory = "https://acme-v02.api.letsencrypt.org/directory"`)
	}
	if !a.Agree {
		d.fail("tls.acme.agree", "the CA gives certificates to those alone who agree to its terms",
			"read them, and write agree = true")
	}
	if !a.Email.IsNull() && (a.Email.Domain.IsZero() || !a.Email.IsASCII()) {
		d.fail("tls.acme.email", "must be an ASCII address with a domain", `write email = "postmaster@example.com"`)
	}
	if (a.EAB.KeyID == "") != (a.EAB.Key == "") {
		d.fail("tls.acme.eab", "key_id and key go together",
			`write eab = {key_id = "...", key = "eab.key"}, with the secret in that file`)
	}
	if len(a.Names) > mostNames {
		d.fail("tls.acme.names", fmt.Sprintf("%d names are too many for one certificate, at most %d", len(a.Names),
			mostNames), "name fewer; other certificates can stand in tls.certificates")
	}
	for i, n := range a.Names {
		if isAddress(n) || n.IsZero() {
			d.fail(fmt.Sprintf("tls.acme.names[%d]", i), "must be a name, not an address",
				fmt.Sprintf("write names = [%q]", c.Hostname))
		} else if slices.Contains(a.Names[:i], n) {
			d.fail(fmt.Sprintf("tls.acme.names[%d]", i), fmt.Sprintf("%s is there already", n), "")
		}
	}
	for i, one := range a.Challenges {
		if slices.Contains(a.Challenges[:i], one) {
			d.fail(fmt.Sprintf("tls.acme.challenges[%d]", i), fmt.Sprintf("%s is there already", one), "")
		}
	}
}
