package rules

import "postern/internal/policy"

// inboundWarnings are about one rule that is about incoming mail.
func (c *compiled) inboundWarnings() (out []Warning) {
	add := func(text, hint string) { out = append(out, Warning{Text: text, Hint: hint}) }
	f := c.RequireTLS
	if len(c.Conditions()) == 0 {
		add("has no condition: mail of everybody must come so", "add [rule.match] where that is not meant")
	}
	byName := f.Level == policy.Authenticated && f.Names.Domain
	if byName && (c.when.Sender == nil || c.when.Sender.Null) {
		add("refuses the null sender of bounces: it has no domain that a certificate could name",
			"write names = [...] with the names of the partner's certificates")
	}
	if byName && c.when.Sender == nil && len(c.Match.SenderIP) > 0 {
		add("mail that these clients forward for others is refused: their certificate does not name its sender's "+
			"domain",
			"write names = [...] with the names of their certificates")
	}
	if f.MinTLS < minVersion {
		add("min_tls below 1.2 accepts connections that can be broken",
			"write min_tls = \"1.2\" as soon as the other side can do it")
	}
	if f.MinBits > 128 {
		add("min_bits = 256 refuses most clients with TLS 1.3: of the ciphers that a client offers this gateway "+
			"takes AES of 128 bits",
			`write min_bits = 128, or key_exchange = "hybrid" where quantum computers are meant`)
	}
	if c.when.Sender != nil && len(c.when.Sender.Domains) > 0 && !c.when.Sender.Null {
		out = append(out, Warning{Text: "sender leaves out the null sender of bounces, which anybody may use",
			Hint:   "match the partner's clients by sender_ip, with sender = [\"<>\"], in another rule",
			Narrow: "ask an administrator of the whole gateway for another rule about them"})
	}
	return out
}
