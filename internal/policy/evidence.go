package policy

import (
	"time"

	"postern/internal/mail"
)

// Evidence is what one connection really reached, on the axes of Requirement. certcheck fills it after the handshake;
// the zero value is a plaintext channel about which nothing was proven.
type Evidence struct {
	TLS *mail.TLS `json:"tls,omitempty"` // nil: no TLS
	// TLSVersion is the protocol version as in crypto/tls, 0 without TLS.
	TLSVersion uint16 `json:"-"`
	// Chain is the certificates as the peer sent them, leaf first.
	Chain []Certificate `json:"chain,omitempty"`
	// Peers has one proof per demand examined, by PeerDemand.Key. A demand not in the map was not examined, which is
	// never a pass.
	Peers map[string]Proof `json:"-"`
	// DANE is what the TLSA records of the host make of the chain; nil where it has none that can be used, or nobody
	// asked.
	DANE *DANE `json:"dane,omitempty"`
	// RequireTLS says that the peer offered REQUIRETLS inside TLS; what it offered before does not count (RFC 8689
	// §4.2.1).
	RequireTLS bool `json:"requiretls_offered,omitempty"`
	// Expected and Presented are the names we wanted and the certificate's DNS names.
	Expected  []string `json:"expected_names,omitempty"`
	Presented []string `json:"presented_names,omitempty"`
	// MXProven says that the hop's host name came from the administrator or from proof, not from unsigned DNS.
	MXProven bool `json:"mx_proven,omitempty"`
	// MXBy says in a word what speaks for the host name, "" when nothing does; see the constants.
	MXBy string `json:"mx_by,omitempty"`
	// MXPins has one proof per rule of Requirement.PinnedBy: that the host name lies below a name it remembers of the
	// recipient domain, or that it remembers none yet. A rule not in the map was not asked, which is never a pass.
	MXPins map[string]Proof `json:"-"`
	// Revocation is what is known; "" means it was not looked up. SetRevocation fills it and what follows, which says
	// more of the same; see RevocationAnswer.
	Revocation       string    `json:"revocation,omitempty"`
	RevocationSource string    `json:"revocation_source,omitempty"`
	RevocationAsOf   time.Time `json:"revocation_as_of,omitzero"`
	RevocationAgeS   int64     `json:"revocation_age_s,omitempty"` // seconds, at the time of the try
	RevocationDetail string    `json:"revocation_detail,omitempty"`
	// Unstapled says that the certificate promises a stapled answer and none that counts came.
	Unstapled bool `json:"revocation_unstapled,omitempty"`
}

// What speaks for the name of a mail host.
const (
	MXByAdministrator = "administrator" // named in a route or for a domain of our own
	MXBySignedDNS     = "signed-dns"
	MXByPolicy        = "mta-sts"   // an enforced policy of the recipient domain names it
	MXByPin           = "pinned"    // below a name that was remembered
	MXByFirstUse      = "first-use" // nothing is remembered yet: this is what will be
)

// Certificate is the facts of one certificate that people ask for. Values from the certificate are hostile text.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`      // hex digest of the certificate
	SPKI      string    `json:"spki_sha256"` // hex digest of its public key info, the form of pins
	Key       string    `json:"key"`         // "ECDSA P-256", "RSA 2048"
	Signature string    `json:"signature"`   // signature algorithm
	DNSNames  []string  `json:"dns_names,omitempty"`
	// Raw is the certificate itself, DER; nil where evidence was read back from a record, which does not hold it.
	Raw []byte `json:"-"`
}

// Proof is the result of examining one PeerDemand. No shortfall means it is met.
type Proof struct {
	Shortfalls []Shortfall
}

// Shortfall is one thing that fell short, with what was wanted and what was found, for people.
type Shortfall struct {
	Reason Reason `json:"reason"`
	// Text says it in one sentence with the names and dates that matter. It may quote the peer's certificate.
	Text string `json:"text"`
}

// Reached returns the level this evidence deserves for a delivery under r: authenticated needs every peer demand of r
// (or the public default) met at TLS 1.2 or r's floor. Whether the peer offers REQUIRETLS is no matter of the level.
func (e Evidence) Reached(r Requirement) Level {
	if e.TLS == nil {
		return Plaintext
	}
	r.RequireTLS = false
	if len(Verdict(r.Raised(Authenticated), e)) == 0 {
		return Authenticated
	}
	return Encrypted
}

// ProvedBy says what proved the peer of a channel that is authenticated under r: ByDANEEE or ByDANETA where r demands
// it of the host or nothing else would have done, else ByPin or ByCertificate; "" where it is not authenticated.
func (e Evidence) ProvedBy(r Requirement) string {
	if e.Reached(r) < Authenticated {
		return ""
	}
	by := ByCertificate
	for _, d := range r.Demands() {
		switch {
		case !d.OnChain(), d.By == ByEither && len(e.chain(d)) > 0:
			return e.DANE.By
		case len(d.Pins) > 0:
			by = ByPin
		}
	}
	return by
}
