package config

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/publicaddr"
	"postern/internal/policy"
)

// Sender is a set of envelope senders: "example.com" those of a domain, "*.example.com" those of every domain below it,
// "<>" the null sender, "*" all of them.
type Sender struct {
	Domain mail.Domain
	Below  bool // the domains below Domain instead of itself
	Null   bool
	Any    bool
}

// UnmarshalText reads the written form, a domain in any spelling.
func (s *Sender) UnmarshalText(text []byte) error {
	t := string(text)
	switch t {
	case "<>":
		*s = Sender{Null: true}
		return nil
	case "*":
		*s = Sender{Any: true}
		return nil
	}
	if strings.Contains(t, "@") {
		return fmt.Errorf("%q is an address; write its domain, without what stands before and with the @", t)
	}
	rest, below := strings.CutPrefix(t, "*.")
	d, err := mail.ParseDomain(rest)
	if err != nil {
		return fmt.Errorf("%w; write \"example.com\", \"*.example.com\" for the domains below it, \"<>\" for the null "+
			"sender, or \"*\"", err)
	}
	*s = Sender{Domain: d, Below: below}
	return nil
}

// String is the written form.
func (s Sender) String() string {
	switch {
	case s.Any:
		return "*"
	case s.Null:
		return "<>"
	case s.Below:
		return "*." + s.Domain.String()
	}
	return s.Domain.String()
}

// MarshalText writes the form String returns.
func (s Sender) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// BareNewline is what becomes of a CR or LF that stands alone.
type BareNewline string

// The treatments.
const (
	BareRefuse    BareNewline = "refuse"
	BareNormalize BareNewline = "normalize"
)

// UnmarshalText reads a treatment's name.
func (b *BareNewline) UnmarshalText(text []byte) error {
	switch v := BareNewline(text); v {
	case BareRefuse, BareNormalize:
		*b = v
		return nil
	}
	return fmt.Errorf("unknown treatment %q, want refuse or normalize", text)
}

func (c *Config) checkRelay(d *decoder) {
	switch r := c.Relay.Require; {
	case r == policy.Authenticated:
		d.fail("relay.require", "must be \"plaintext\" or \"encrypted\"",
			"relay.client_certificates lets clients prove who they are")
	case r == policy.Encrypted && !c.TLS.Offered():
		d.fail("relay.require", "clients cannot use TLS: there is no certificate to do TLS with",
			`write [tls] certificates = [{cert = "cert.pem", key = "key.pem"}]`)
	}
	seen := map[string]string{}
	once := func(path, what string) {
		if before, twice := seen[what]; twice {
			d.fail(path, fmt.Sprintf("%s is already bound by %s", what, before),
				"name it once, with all of its senders")
			return
		}
		seen[what] = path
	}
	for i := range c.RelayClient {
		r, path := &c.RelayClient[i], fmt.Sprintf("relay_client[%d]", i)
		if len(r.Networks)+len(r.Users)+len(r.Certificates) == 0 {
			d.fail(path, "binds nobody",
				`write networks = ["10.0.0.5/32"], users = ["name"] or certificates = ["app.example.com"]`)
		}
		if len(r.Senders) == 0 {
			d.fail(path+".senders", "must name the senders these clients may use",
				`write senders = ["example.com", "<>"]`)
		}
		c.checkClients(d, r, path, once)
	}
}

// checkClients examines whom an entry binds: it binds those who may relay, and lets nobody relay.
func (c *Config) checkClients(d *decoder, r *RelayClient, path string, once func(path, what string)) {
	for j, n := range r.Networks {
		at := fmt.Sprintf("%s.networks[%d]", path, j)
		once(at, n.Masked().String())
		if !publicaddr.Covered(n.Masked(), c.Relay.Networks) {
			d.fail(at, fmt.Sprintf("%s is not within relay.networks, so nobody relays from there", n),
				fmt.Sprintf("write [relay] networks = [%q]", n))
		}
	}
	for j, u := range r.Users {
		at := fmt.Sprintf("%s.users[%d]", path, j)
		once(at, "user "+u)
		if !slices.ContainsFunc(c.User, func(known User) bool { return known.Name == u }) {
			d.fail(at, fmt.Sprintf("there is no [[user]] %q", u), "")
		}
	}
	for j, name := range r.Certificates {
		at := fmt.Sprintf("%s.certificates[%d]", path, j)
		name, err := certificateName(name)
		if err != nil {
			d.fail(at, err.Error(), `write "app.example.com", "*.example.com" or "*"`)
			continue
		}
		r.Certificates[j] = name
		once(at, "certificate "+name)
	}
	if len(r.Certificates) > 0 && c.Relay.ClientCertificates == "" {
		d.fail(path+".certificates", "nobody relays by a certificate: relay.client_certificates is empty",
			`write [relay] client_certificates = "clients-ca.pem"`)
	}
}

// certificateName brings a name of a certificate to the form it is compared in. It may be any text: private CAs write
// what they like into the common name.
func certificateName(s string) (string, error) {
	s = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(s)), ".")
	if s == "" || s != "*" && strings.Contains(strings.TrimPrefix(s, "*."), "*") {
		return "", fmt.Errorf("%q is no name of a certificate", s)
	}
	return s, nil
}
