package config

import (
	"net/netip"

	"postern/internal/mail"
)

// Policies is about what recipients' domains publish for senders.
type Policies struct {
	// DANE, the TLSA records of mail hosts: "enforce", mail goes only to a host that one of its records proves;
	// "observe", what would have fallen short is recorded, and mail goes as without; or "off".
	DANE Keeping `toml:"dane"`
	// MTA-STS, the policies of recipient domains: the same. Under "enforce" mail of a domain whose policy says so goes
	// only to hosts that it names and that have a certificate which proves them.
	STS Keeping `toml:"sts"`
	// How long the first mail for a domain waits for its policy; then it goes as if there were none.
	STSTimeout Duration `toml:"sts_timeout"`
	// Private networks in which the web servers of policies may be.
	Networks []netip.Prefix `toml:"networks" example:"['10.0.0.0/8']"`
	// Whether a message whose header says TLS-Required: No (RFC 8689 §3) sets all of that aside for itself. It never
	// lowers what a rule demands.
	TLSRequiredNo bool `toml:"tls_required_no"`
}

// TLSRPT is about reports on TLS between mail servers (RFC 8460), of each UTC day: ours to other domains that ask for
// them, and theirs to us. `postern reports` shows both.
type TLSRPT struct {
	// Who reports. Empty: nothing is sent.
	Organization string `toml:"organization" example:"'Example GmbH'"`
	// How you are reached about reports, an address or a URL. Empty: from.
	Contact string `toml:"contact" example:"'postmaster@example.com'"`
	// Author of the mails. Empty: postmaster.
	From mail.Address `toml:"from" example:"'tls-reports@example.com'"`
	// The DKIM signature of the mails, which they need: the domain of from or one above it, the selector below which
	// DNS has the public key, and the file of the private key, PEM (RSA or Ed25519).
	DKIM DKIM `toml:"dkim" example:"{domain = 'example.com', selector = 'tlsrpt', key = 'dkim.pem'}"`
	// Addresses in domains of yours that reports of others come to, as _smtp._tls names them. The gateway keeps the
	// reports itself, 90 days; other mail to them goes on as ever. `postern records` prints the record.
	Receive []mail.Address `toml:"receive" example:"['tls-reports@example.com']"`
	// Whether listeners of mode web take reports too, by POST at /tlsrpt. They are not signed: what they say is shown
	// and acted upon by nobody.
	ReceiveHTTPS bool `toml:"receive_https"`
}

// Receives reports whether reports of others are taken.
func (t *TLSRPT) Receives() bool { return len(t.Receive) > 0 || t.ReceiveHTTPS }

// Sends reports whether reports are sent.
func (t *TLSRPT) Sends() bool { return t.Organization != "" }

// DKIM is a signature.
type DKIM struct {
	// The domain that signs.
	Domain mail.Domain `toml:"domain"`
	// The name below _domainkey in it.
	Selector string `toml:"selector"`
	// File of the private key, PEM.
	Key Path `toml:"key"`
}
