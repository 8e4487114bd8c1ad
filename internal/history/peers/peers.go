// Package peers is what is remembered of the mail servers we talk to: one Record for each address, what it offered and
// what it presented, and what follows from that. Everything here is a pure function of records, observations and a
// time:
//
//	Gather   an attempt -> one Observation for each address that answered
//	Observe  a Record and an Observation -> the next Record, and what changed
//	Judge    a Record -> whether a missing STARTTLS is a loss, and whether the ratchet holds mail back
//	Expiring a Record -> whether a certificate that a rule depends on runs out soon
//	Losses   losses of many peers -> whether the fault is our own firewall
//
// A record is evidence about the past and never a proof: it can make the gateway more careful, never less.
//
// Ground room.
package peers

import (
	"net/netip"
	"time"

	"postern/internal/policy"
)

// Remembered is how long an offer of STARTTLS counts: a server that has not offered it for longer is one that offers
// none.
const Remembered = 30 * 24 * time.Hour

// Key names a record. One address may serve many names, each with a certificate of its own.
type Key struct {
	Host string // "" where an address was named instead of a host
	Addr netip.AddrPort
}

// Record is what is known of one address of one host. Text in it that a peer chose is escaped and bounded.
type Record struct {
	Host string     `json:"host,omitempty"`
	IP   netip.Addr `json:"ip"`
	Port uint16     `json:"port"`

	// FirstSeen and LastSeen are when EHLO was answered.
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// StartTLS says that the newest answer to EHLO offered it, LastOffered when one last did.
	StartTLS    bool      `json:"starttls,omitempty"`
	LastOffered time.Time `json:"last_offered,omitzero"`
	// Keywords are those of EHLO before TLS that say something about a server, sorted.
	Keywords []string `json:"keywords,omitempty"`

	// TLS counts attempts with a finished handshake, TLSDays the days (UTC) with at least one.
	TLS      int64     `json:"tls,omitempty"`
	TLSDays  int64     `json:"tls_days,omitempty"`
	FirstTLS time.Time `json:"first_tls,omitzero"`
	LastTLS  time.Time `json:"last_tls,omitzero"`
	// Streak counts attempts with TLS since mail last had to go there in plaintext; StreakSince is the first of them.
	Streak      int64     `json:"streak,omitempty"`
	StreakSince time.Time `json:"streak_since,omitzero"`
	// LostAt is when TLS that had worked was first missed, zero while it works; LostReason is why.
	LostAt     time.Time     `json:"lost_at,omitzero"`
	LostReason policy.Reason `json:"lost_reason,omitempty"`

	// What the newest handshake reached.
	Version     string       `json:"version,omitempty"`
	Cipher      string       `json:"cipher,omitempty"`
	Group       string       `json:"group,omitempty"`
	Level       policy.Level `json:"level,omitempty"`
	Certificate *Certificate `json:"certificate,omitempty"`

	// UnderRule is when mail that demands authenticated TLS was last tried there; zero means never.
	UnderRule time.Time `json:"under_rule,omitzero"`
	// Warned is the warning of expiry given last for this certificate, in days; 0 means none.
	Warned int `json:"warned,omitempty"`

	// Changes are the newest changes, oldest first, at most maxChanges.
	Changes []Change `json:"changes,omitempty"`
}

// maxChanges bounds the changes kept in a record.
const maxChanges = 10

// Key is the key of the record.
func (r *Record) Key() Key { return Key{r.Host, netip.AddrPortFrom(r.IP, r.Port)} }

// Name is the record's host for people, or its address where it has none.
func (r *Record) Name() string {
	if r.Host == "" {
		return r.IP.String()
	}
	return r.Host
}

// Certificate is the leaf a server presented.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`
	SPKI      string    `json:"spki_sha256"`
	// Since is when it was first seen there.
	Since time.Time `json:"since"`
}

// ChangeKind is what changed. The names are stable: log, metrics and `postern peers` print them.
type ChangeKind string

// The kinds of changes.
const (
	TLSLost     ChangeKind = "tls-lost"     // TLS that worked before does not now
	TLSReturned ChangeKind = "tls-returned" // and works again
	NewKey      ChangeKind = "key"          // a certificate with another key
	NewCert     ChangeKind = "certificate"  // another certificate for the same key
	NewVersion  ChangeKind = "tls-version"
	NewGroup    ChangeKind = "group"
	NewKeywords ChangeKind = "keywords"
	RunsOut     ChangeKind = "certificate-expiring" // the certificate of a partner under a rule
)

// ChangeKinds lists them all.
func ChangeKinds() []ChangeKind {
	return []ChangeKind{TLSLost, TLSReturned, NewKey, NewCert, NewVersion, NewGroup, NewKeywords, RunsOut}
}

// Change is one thing about a peer that is not as it was.
type Change struct {
	At     time.Time  `json:"at"`
	Kind   ChangeKind `json:"change"`
	Before string     `json:"before,omitempty"`
	After  string     `json:"after,omitempty"`
}
