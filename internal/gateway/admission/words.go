package admission

import (
	"crypto/tls"
	"fmt"
	"strings"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Wanted says what a requirement asks of a client that brings mail of a domain.
func Wanted(r policy.Requirement, from mail.Domain) string {
	out := "TLS"
	if floor := r.VersionFloor(); floor > 0 {
		out = tls.VersionName(floor) + " or newer"
	}
	if r.KeyExchange == policy.HybridExchange {
		out += " with hybrid key exchange"
	}
	if r.MinBits > 0 {
		out += fmt.Sprintf(" with a cipher of %d bits", r.MinBits)
	}
	if r.Channel < policy.Authenticated {
		return out
	}
	for _, d := range r.Demands() {
		of := "a public CA"
		if d.Trust != policy.PublicTrust {
			of = "an agreed CA"
		}
		out += " with a certificate of " + of + " for " + names(d.Names, from)
	}
	return out
}

func names(n policy.Names, from mail.Domain) string {
	switch {
	case n.Domain && from.IsZero():
		return "the sender's domain"
	case n.Domain:
		return from.String() + " or *." + from.String()
	}
	return mail.AtMost(n.List, 5, " or ")
}

// Shown says what a client came with.
func Shown(c *Client) string {
	if c.TLS == nil {
		return "no TLS"
	}
	out := []string{c.TLS.Version, c.TLS.Cipher}
	if c.TLS.Group != "" {
		out = append(out, c.TLS.Group)
	}
	text := strings.Join(out, " ")
	switch cert := c.TLS.Client; {
	case cert == nil:
	case !cert.Presented:
		text += " and no certificate"
	default:
		text += " and the certificate of " + cert.Subject
	}
	return text
}
