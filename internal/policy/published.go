package policy

import "time"

// ProofBy says what counts as the proof of a PeerDemand.
type ProofBy uint8

// What counts. The values of the rule key proof are the first three.
const (
	// ByChain is a chain to the demand's trust, one of its names, and one of its pins where it has some.
	ByChain ProofBy = iota
	// ByEither is that, or ByTLSA.
	ByEither
	// ByTLSA is a TLSA record of the mail host that the certificates match, where the name of the host is proven:
	// whoever chooses the host could choose its records.
	ByTLSA
	// ByHost is what the host itself publishes: one of its TLSA records, however its name was found (RFC 7672 §2.2.1).
	// No rule asks for it; it is how the demand of a host is written.
	ByHost
)

// The kinds of what is published.
const (
	PublishedDANE = "dane" // RFC 7672
	PublishedSTS  = "sts"  // RFC 8461
)

// The modes of what is published. In all but Enforced mail goes as if there were nothing, and what would have fallen
// short is recorded.
const (
	Enforced = "enforce"
	Testing  = "testing"   // by the domain's own word (RFC 8461 §5)
	Observed = "observe"   // by the administrator's
	Excepted = "exception" // by the administrator's for this domain, until a day
	Waived   = "waived"    // by the message's, which says TLS-Required: No (RFC 8689 §3)
)

// Published is one policy that a recipient's domain or its mail host publishes, as it was found for one hop. Values
// from DNS and from the web are hostile text: bounded and escaped.
type Published struct {
	Kind string `json:"kind"` // PublishedDANE or PublishedSTS
	// Mode is one of the modes; "" where an MTA-STS policy may be published and is not known: nothing is kept to.
	Mode string `json:"mode"`
	// ID is that of an MTA-STS policy.
	ID string `json:"id,omitempty"`
	// Source says where it was found: the name of the TLSA records; "fetched" or "cache".
	Source string `json:"source,omitempty"`
	// Fault says why an MTA-STS policy could not be had, of stscache.Kind; see Announced.
	Fault string `json:"fault,omitempty"`
	// Hosts are the mail hosts that an MTA-STS policy names, as patterns.
	Hosts []string `json:"hosts,omitempty"`
	// AsOf is when it was found, Until when it must be asked for again.
	AsOf  time.Time `json:"as_of,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Records are the TLSA records found, Unusable how many of them say nothing to us.
	Records  []string `json:"records,omitempty"`
	Unusable int      `json:"unusable,omitempty"`
	// Half says that the host was found by unsigned DNS, so that its records do not speak for the recipient's domain.
	Half bool `json:"mx_unsigned,omitempty"`
	// Note is one sentence for people about what is odd; "" where nothing is.
	Note string `json:"note,omitempty"`
	// Shortfalls is what fell short of it, or would have where the mode is not Enforced.
	Shortfalls []Shortfall `json:"shortfalls,omitempty"`
	// Lines are an MTA-STS policy as the domain wrote it, line by line, for reports to the domain.
	Lines []string `json:"-"`
	// Demand is what it demands of a channel to the hop.
	Demand Requirement `json:"-"`
}

// The faults, of stscache.Kind, with which nobody knows whether a domain announces an MTA-STS policy at all.
const (
	FaultRecordUnknown = "record-unknown"
	FaultNotYet        = "not-yet"
	FaultBusy          = "busy"
)

// Announced reports whether a domain whose MTA-STS policy could not be had, for a fault, is known to announce one.
func Announced(fault string) bool {
	return fault != FaultRecordUnknown && fault != FaultNotYet && fault != FaultBusy
}

// AgeS is how old it is at a time, in whole seconds; 0 where it is not known when it was found.
func (p *Published) AgeS(at time.Time) int64 {
	if p.AsOf.IsZero() {
		return 0
	}
	return max(0, int64(at.Sub(p.AsOf)/time.Second))
}

// HostDemand is what usable TLSA records demand: a peer that one of them proves. Names, dates and revocation are no
// matter of it, and any version of TLS will do (RFC 7672 §3.1).
func HostDemand() Requirement {
	return Requirement{Channel: Authenticated, Peer: []PeerDemand{{By: ByHost}}, MinTLS: anyTLS}
}

// EncryptedDemand is what TLSA records demand of which none is usable: TLS, with whoever answers (RFC 7672 §2.2).
func EncryptedDemand() Requirement { return Requirement{Channel: Encrypted} }

// DomainDemand is what an enforced MTA-STS policy demands of a host that it names: a certificate of the public trust
// for the host's name (RFC 8461 §4.2). Any version of TLS will do.
func DomainDemand() Requirement {
	return Requirement{Channel: Authenticated, Peer: []PeerDemand{PublicDemand()}, MinTLS: anyTLS}
}

// Demands joins what is enforced of what was found for one hop.
func Demands(found []Published) Requirement {
	var out []Requirement
	for i := range found {
		if found[i].Mode == Enforced {
			out = append(out, found[i].Demand)
		}
	}
	return Combine(out...)
}

// With returns what a channel must pass that carries mail with requirement r over a hop that demands something itself.
// It is never weaker than either. What r would mean by authenticated counts only where r demands it: a private CA that
// a domain of ours names for a channel that need not be authenticated is no demand on the hop.
func (r Requirement) With(hop Requirement) Requirement {
	if hop.Channel == Plaintext {
		return r
	}
	if r.Channel < Authenticated && hop.Channel == Authenticated {
		r.Peer, r.MX, r.PinnedBy, r.Revocation = nil, MXAny, nil, RevocationOff
	}
	return Combine(r, hop)
}
