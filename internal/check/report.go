package check

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
)

// Report is everything about one target. The JSON names are part of the outside surface (docs/check.md). Texts of peers
// are escaped and bounded.
type Report struct {
	Kind   string    `json:"kind"` // "target"
	Target string    `json:"target"`
	Domain string    `json:"domain,omitempty"` // "" where a host was named
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	// Verdicts answer the questions for the target as a whole, in the order they were asked; never empty.
	Verdicts []Verdict `json:"verdicts"`
	// Findings are worth knowing and change no verdict.
	Findings []Finding `json:"findings,omitempty"`
	DNS      *DNS      `json:"dns,omitempty"` // nil where nothing was looked up
	// Named says that the configuration names the hosts of the domain, whatever DNS says.
	Named bool   `json:"hosts_named,omitempty"`
	Hosts []Host `json:"hosts,omitempty"`
}

// Outcome is what would become of a message now.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // it would be sent
	Deferred  Outcome = "deferred"  // it would wait and be tried again
	Failed    Outcome = "failed"    // it would be returned to its sender
)

// The questions that are always asked.
const (
	Opportunistic = "opportunistic" // ordinary mail, which no rule protects
	ForceTLS      = "force-tls"     // a rule with action force-tls and nothing but defaults
)

// Verdict is the answer to one question.
type Verdict struct {
	Question string       `json:"question"` // Opportunistic, ForceTLS, "require LEVEL", "rule NAME"
	Requires policy.Level `json:"requires"`
	Outcome  Outcome      `json:"outcome"`
	// Reached is the level of the connection that would carry the message, "" where none would.
	Reached string `json:"reached,omitempty"`
	// Host and IP would carry it, or tell most about why nobody would.
	Host string     `json:"host,omitempty"`
	IP   netip.Addr `json:"ip,omitzero"`
	// Reason says why it would not be sent, or why it reached no more; "" where nothing fell short. What follows is
	// what the table of reasons says about it.
	Reason policy.Reason `json:"reason,omitempty"`
	Text   string        `json:"text,omitempty"`
	Who    policy.Who    `json:"who,omitempty"`
	Hint   string        `json:"hint,omitempty"`
	Status string        `json:"status,omitempty"`
	TLSRPT string        `json:"tlsrpt,omitempty"`
	// Revocation is what is known about the certificates of that host; nil where nobody asked.
	Revocation *Revocation `json:"revocation,omitempty"`
	// Shortfalls lists everything that fell short at that host, the one to act on first.
	Shortfalls []policy.Shortfall `json:"shortfalls,omitempty"`
	Notes      []string           `json:"notes,omitempty"`
	TLS        *mail.TLS          `json:"tls,omitempty"`
	// Tries are the connections made for this verdict, in order.
	Tries []Try `json:"tries,omitempty"`

	// Published is what was published, as held against that host, and Matched the TLSA record that it matched; hosts
	// tell it.
	Published []policy.Published `json:"-"`
	Matched   string             `json:"-"`
	// Answered says that somebody answered EHLO. It is no part of the surface: whoever reads a report sees more there.
	Answered bool `json:"-"`
}

// Revocation is an answer about certificates, with its source and age.
type Revocation struct {
	Status string    `json:"status"` // "good", "revoked", "unknown"
	Source string    `json:"source,omitempty"`
	AsOf   time.Time `json:"as_of,omitzero"`
	AgeS   int64     `json:"age_s,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// Passes reports whether a message with the question's requirement would be sent.
func (v *Verdict) Passes() bool { return v.Outcome == Delivered }

// Try is one connection of a verdict.
type Try struct {
	Host   string        `json:"host,omitempty"`
	IP     netip.Addr    `json:"ip,omitzero"`
	Rung   attempt.Rung  `json:"rung,omitempty"`
	Used   bool          `json:"used,omitempty"`
	TookMS int64         `json:"took_ms"`
	Reason policy.Reason `json:"reason,omitempty"`
	Text   string        `json:"text,omitempty"`
	Remote string        `json:"remote,omitempty"`
	Alert  string        `json:"alert,omitempty"`
}

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	Fault   Severity = "fault"   // should be repaired
	Warning Severity = "warning" // will become a fault, or may be one
	Note    Severity = "note"
)

// Finding is something worth knowing.
type Finding struct {
	Severity Severity   `json:"severity"`
	Code     string     `json:"code"` // stable: "early-bytes-accepted", ...
	Text     string     `json:"text"`
	Who      policy.Who `json:"who,omitempty"`
	Host     string     `json:"host,omitempty"`
	IP       netip.Addr `json:"ip,omitzero"`
}

// The codes of findings.
const (
	EarlyBytesAccepted = "early-bytes-accepted"
	AddressesDiffer    = "addresses-differ"
	ExpirySoon         = "expiry-soon"
	PostQuantumFails   = "post-quantum-fails"
	LegacyOnly         = "legacy-only"
	MXUnproven         = "mx-unproven"
	ChainsDiffer       = "chains-differ"
	NoEightBit         = "no-8bitmime"

	// What a server would like with which no handshake of ours completed.
	SSL3Only               = "ssl3-only"
	DHEOnly                = "dhe-only"
	AnonymousOnly          = "anonymous-only"
	SuiteUnsupported       = "suite-unsupported"
	CurveUnsupported       = "curve-unsupported"
	KeyUnsupported         = "key-unsupported"
	VersionIntolerant      = "version-intolerant"
	CertificateUnreadable  = "certificate-unreadable"
	ClientCertificateAsked = "client-certificate-asked"
	BreaksLater            = "breaks-later"
	TLS13Only              = "tls13-only"
	NothingAccepted        = "nothing-accepted"
)

// DNS is what was looked up for a target.
type DNS struct {
	// Signed says that our resolver vouched (DNSSEC) for the mail hosts; each host says the same of its addresses.
	Signed bool     `json:"signed"`
	MX     []MX     `json:"mx,omitempty"`
	TookMS float64  `json:"took_ms"`
	Alias  []string `json:"alias,omitempty"` // names passed on the way
}

// MX is one record.
type MX struct {
	Host string `json:"host"`
	Pref uint16 `json:"pref"`
}

// Host is one mail host of a target.
type Host struct {
	Name   string `json:"name,omitempty"` // "" for an address
	Port   uint16 `json:"port"`
	Pref   uint16 `json:"pref,omitempty"`
	Signed bool   `json:"signed"`
	// Proven says that the name owes nothing to unsigned DNS: an administrator, signed DNS or an enforced policy names
	// it.
	Proven bool `json:"proven"`
	// Reason and Text say why the host has no address that could be tried; "" where it has.
	Reason policy.Reason `json:"reason,omitempty"`
	Text   string        `json:"text,omitempty"`
	// Published is what the host and the target's domain publish for senders.
	Published []Published `json:"published,omitempty"`
	Addresses []Address   `json:"addresses,omitempty"`
}

// Published is one policy that is published, in the words of a trace.
type Published struct {
	policy.Published
	// AgeS is how old it was, in seconds.
	AgeS int64 `json:"age_s"`
	// Matched is the TLSA record that one of the addresses matched, "" where none did.
	Matched string `json:"matched,omitempty"`
}

// Address is one address of a host, examined as if it were the only one.
type Address struct {
	IP       netip.Addr `json:"ip"`
	Verdicts []Verdict  `json:"verdicts"`
	Look     *Look      `json:"look,omitempty"` // nil where nobody answered
	Early    Early      `json:"early_bytes,omitempty"`
	Trials   []Trial    `json:"trials,omitempty"`
}

// Look is what one connection showed.
type Look struct {
	Rung     attempt.Rung         `json:"rung"`
	Greeting string               `json:"greeting,omitempty"`
	Offered  []string             `json:"ehlo,omitempty"`
	StartTLS bool                 `json:"starttls"`
	Masked   bool                 `json:"masked,omitempty"`
	TLS      *mail.TLS            `json:"tls,omitempty"`
	Inside   []string             `json:"ehlo_inside_tls,omitempty"`
	Asked    bool                 `json:"client_certificate_asked,omitempty"`
	Chain    []policy.Certificate `json:"chain,omitempty"`
	Expected []string             `json:"expected_names,omitempty"`
	Steps    []Step               `json:"steps"`
	Reason   policy.Reason        `json:"reason,omitempty"`
	Text     string               `json:"text,omitempty"`
	Remote   string               `json:"remote,omitempty"`
	Alert    string               `json:"alert,omitempty"`
}

// RequireTLS reports whether REQUIRETLS is offered inside TLS, the one place where that counts (RFC 8689 §4.2.1).
func (l *Look) RequireTLS() bool {
	return slices.ContainsFunc(l.Inside, func(line string) bool {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		return strings.EqualFold(word, "REQUIRETLS")
	})
}

// Step is the time one step took.
type Step struct {
	Name   string  `json:"name"`
	TookMS float64 `json:"took_ms"`
}

// Early says what became of bytes sent in the clear right after STARTTLS.
type Early string

// What can become of them; "" where it was not tested.
const (
	EarlyAccepted  Early = "accepted"  // taken for something said inside TLS: the injection fault
	EarlyDiscarded Early = "discarded" // as it should be
	EarlyRefused   Early = "refused"   // as it should be: STARTTLS was refused, or the handshake broke
	EarlyUnknown   Early = "unknown"   // the connection ended in a way that tells nothing
)

// Trial is a handshake with only one version, group or kind of certificate offered.
type Trial struct {
	Name  string `json:"name"` // "TLSv1.3", "classical groups", "RSA certificate"
	Works bool   `json:"works"`
	// only the server's answer to a ClientHello was read: nothing in it is proven
	Probe  bool          `json:"probe,omitempty"`
	TLS    *mail.TLS     `json:"tls,omitempty"`
	SHA256 string        `json:"cert_sha256,omitempty"`
	Reason policy.Reason `json:"reason,omitempty"` // why it does not work, or what is wrong with the certificate
	Text   string        `json:"text,omitempty"`
	Alert  string        `json:"alert,omitempty"`
}

// Find returns the target's verdict on a question, nil if it was not asked.
func (r *Report) Find(question string) *Verdict {
	for i := range r.Verdicts {
		if r.Verdicts[i].Question == question {
			return &r.Verdicts[i]
		}
	}
	return nil
}

// Each calls f for every address that was examined.
func (r *Report) Each(f func(*Host, *Address)) {
	for i := range r.Hosts {
		for j := range r.Hosts[i].Addresses {
			f(&r.Hosts[i], &r.Hosts[i].Addresses[j])
		}
	}
}

// Question is a requirement that a target is held against.
type Question struct {
	Name        string
	Requirement policy.Requirement
}

// Progress is one thing that was found out, for somebody who watches. The report says all of it again, and more.
type Progress struct {
	AfterMS int64      `json:"after_ms"` // since the check began
	Host    string     `json:"host,omitempty"`
	IP      netip.Addr `json:"ip,omitzero"`
	// Step is what was done: dns, connect, judge, greeting, ehlo, starttls, tls, certificate.
	Step string `json:"step"`
	// Good says whether it went as wished; Reason why not.
	Good   bool          `json:"good"`
	Reason policy.Reason `json:"reason,omitempty"`
	Text   string        `json:"text"`
}
