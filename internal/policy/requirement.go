package policy

import (
	"crypto/tls"
	"encoding/json"
	"slices"
	"strings"
)

// Requirement is what a delivery demands of its channel. The zero value demands nothing: the ordinary opportunistic
// ladder, any TLS before plaintext. A Requirement is a value; nobody changes one that somebody else holds. It is
// stored with each delivery as JSON, so fields are only ever added, with a good zero value. What a hop publishes is
// never part of one that is stored; see With.
type Requirement struct {
	// Channel is the lowest rung that may carry the message.
	Channel Level `json:"channel"`
	// Aim is the rung the ladder starts at when it lies above Channel. Plaintext and Encrypted mean any TLS first;
	// Authenticated means authenticated TLS at every host before unauthenticated TLS at any (the recipients a ticked
	// box leaves unforced, design.md §2).
	Aim Level `json:"aim,omitempty"`
	// Peer lists proofs the peer must give; each demand must be met. Sorted and without duplicates after Combine.
	Peer []PeerDemand `json:"peer,omitempty"`
	// MX says what the MX host name itself must deserve.
	MX MXTrust `json:"mx,omitempty"`
	// PinnedBy names the rules whose remembered names count where MX is MXPinned: the name of the mail host must be
	// known to each of them. Sorted and without duplicates after Combine, which puts Nobody where MXPinned names none.
	PinnedBy []string `json:"pinned_by,omitempty"`
	// Revocation says how hard revocation is looked at.
	Revocation Revocation `json:"revocation,omitempty"`
	// MinTLS is the lowest protocol version allowed, as in crypto/tls; 0 is no floor.
	MinTLS uint16 `json:"min_tls,omitempty"`
	// KeyExchange says what the key exchange must be.
	KeyExchange KeyExchange `json:"key_exchange,omitempty"`
	// MinBits is the least strength of the symmetric cipher in bits, as the stamp says it; 0 is no floor.
	MinBits int `json:"min_bits,omitempty"`
	// WithoutTLS says what becomes of a delivery whose peer offers no TLS at all.
	WithoutTLS WithoutTLS `json:"without_tls,omitempty"`
	// RequireTLS says that the next hop must offer REQUIRETLS inside TLS, and so take the promise over (RFC 8689 §2).
	// It implies TLS.
	RequireTLS bool `json:"require_tls,omitempty"`
}

// PeerDemand is one thing the peer must prove about itself: a chain to Trust, a certificate that matches one of Names,
// and, where Pins are given, one of those keys in the leaf or above it.
type PeerDemand struct {
	// Trust is PublicTrust or the path of a file of private roots, as the administrator wrote it.
	Trust string `json:"trust"`
	Names Names  `json:"names"`
	// Pins are "sha256:<hex of SPKI>", sorted; any one suffices. With Pins the chain must still pass.
	Pins []string `json:"pins,omitempty"`
	// By says what counts as the proof. Trust, names and pins say nothing about TLSA records.
	By ProofBy `json:"by,omitempty"`
}

// PublicTrust is the Trust of the configured public root programme.
const PublicTrust = "public"

// Names says which certificate names are accepted; any of the kinds that are set suffices (design.md §3).
type Names struct {
	MX     bool     `json:"mx,omitempty"`     // the host name of the hop that was dialled
	Domain bool     `json:"domain,omitempty"` // the recipient domain or a name directly below it
	List   []string `json:"list,omitempty"`   // these names; "*.clinic.test" covers one label; sorted
}

// MXTrust says what must be known about the MX host name, weakest first.
type MXTrust uint8

// The values of the rule key mx.
const (
	MXAny    MXTrust = iota // DNS is believed, and mx-unproven is recorded
	MXPinned                // a name below one remembered by the rules of PinnedBy, or a proven one
	MXProven                // a name from an administrator or from signed DNS
)

// Nobody stands in PinnedBy for "no rule said where names are remembered": nothing is known to it but what is proven.
const Nobody = ""

// Revocation says how revocation of the peer's certificate is judged, weakest first.
type Revocation uint8

// The values of the rule key revocation.
const (
	RevocationOff     Revocation = iota // not looked up, and that is recorded
	RevocationCheck                     // revoked fails, unknown passes and is recorded
	RevocationRequire                   // unknown fails too
)

// WithoutTLS says what becomes of a delivery whose peer offers no TLS at all, weakest first.
type WithoutTLS uint8

// The values of the rule key without_tls.
const (
	WithoutTLSDefer  WithoutTLS = iota // wait out the window
	WithoutTLSReject                   // fail at once
)

// PublicDemand is what "authenticated" means when nobody said more: public trust, and the name of the host dialled.
func PublicDemand() PeerDemand {
	return PeerDemand{Trust: PublicTrust, Names: Names{MX: true}}
}

// Forced reports whether plaintext is out of the question.
func (r Requirement) Forced() bool { return r.Channel > Plaintext || r.RequireTLS }

// RequireTLSDemand is what REQUIRETLS demands of a hop (RFC 8689 §2): a mail host whose name is proven, which proves
// itself by a certificate of the public trust or by DANE, and offers REQUIRETLS too.
func RequireTLSDemand() Requirement {
	demand := PublicDemand()
	demand.By = ByEither
	return Combine(Requirement{Channel: Authenticated, Peer: []PeerDemand{demand}, MX: MXProven, RequireTLS: true})
}

// Combine joins requirements: the maximum on every ordered axis, the union of the peer demands. What an authenticated
// channel implies is spelled out first, so that joining it with another's wishes cannot lose it.
func Combine(rs ...Requirement) Requirement {
	var out Requirement
	for _, r := range rs {
		r = r.spelledOut()
		out.Channel = max(out.Channel, r.Channel)
		out.Aim = max(out.Aim, r.Aim)
		out.MX = max(out.MX, r.MX)
		out.PinnedBy = append(out.PinnedBy, r.PinnedBy...)
		out.Revocation = max(out.Revocation, r.Revocation)
		out.MinTLS = max(out.MinTLS, r.MinTLS)
		out.KeyExchange = max(out.KeyExchange, r.KeyExchange)
		out.MinBits = max(out.MinBits, r.MinBits)
		out.WithoutTLS = max(out.WithoutTLS, r.WithoutTLS)
		out.RequireTLS = out.RequireTLS || r.RequireTLS
		for _, d := range r.Peer {
			out.Peer = append(out.Peer, d.normal())
		}
	}
	if out.Aim <= out.Channel {
		out.Aim = Plaintext // it says nothing then, and requirements that demand the same must look the same
	}
	out.PinnedBy = normalList(out.PinnedBy)
	slices.SortFunc(out.Peer, func(a, b PeerDemand) int { return strings.Compare(a.Key(), b.Key()) })
	out.Peer = slices.CompactFunc(out.Peer, func(a, b PeerDemand) bool { return a.Key() == b.Key() })
	return out
}

// spelledOut names what r demands by default: an authenticated channel without peer demands demands public trust, and
// one without a TLS floor TLS 1.2. Left unsaid, another operand's private CA or lower floor would take their place, and
// another operand's remembered names those of one that names none. REQUIRETLS is offered inside TLS.
func (r Requirement) spelledOut() Requirement {
	if r.RequireTLS {
		r.Channel = max(r.Channel, Encrypted)
	}
	if r.MX == MXPinned && len(r.PinnedBy) == 0 {
		r.PinnedBy = []string{Nobody}
	}
	if r.Channel == Authenticated {
		r.Peer, r.MinTLS = r.Demands(), r.Floor()
	}
	return r
}

// Raised returns r with a channel of at least l. Unlike a join with Requirement{Channel: l} it keeps r's own idea of
// what authenticated means: a private CA that r names is not joined by public trust.
func (r Requirement) Raised(l Level) Requirement {
	r.Channel = max(r.Channel, l)
	return r
}

// normal returns d with its lists copied, sorted and without duplicates, and without what says nothing.
func (d PeerDemand) normal() PeerDemand {
	if !d.OnChain() {
		return PeerDemand{By: d.By}
	}
	d.Pins = normalList(d.Pins)
	d.Names.List = normalList(d.Names.List)
	return d
}

func normalList(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

// OnChain reports whether a chain can be the proof of d.
func (d PeerDemand) OnChain() bool { return d.By == ByChain || d.By == ByEither }

// Key is a text equal for equal demands, and the name under which evidence about the demand is kept.
func (d PeerDemand) Key() string {
	text, _ := json.Marshal(d.normal()) // no field of d can fail to marshal
	return string(text)
}

// nothing reports whether r demands nothing at all, as most mail does.
func (r Requirement) nothing() bool {
	return r.Channel == 0 && r.Aim == 0 && len(r.Peer) == 0 && r.MX == 0 && len(r.PinnedBy) == 0 && r.Revocation == 0 &&
		r.MinTLS == 0 && r.KeyExchange == 0 && r.MinBits == 0 && r.WithoutTLS == 0 && !r.RequireTLS
}

// Key is a text equal for equal requirements; sites and stores group by it. That of the zero Requirement is "".
func (r Requirement) Key() string {
	if r.nothing() { // spares the work for most mail
		return ""
	}
	text, _ := json.Marshal(Combine(r)) // no field of r can fail to marshal
	return string(text)
}

// AtLeast reports whether r demands everything that other demands.
func (r Requirement) AtLeast(other Requirement) bool {
	return Combine(r, other).Key() == Combine(r).Key()
}

// Demands returns what "authenticated" means for r: its own peer demands, or the public default.
func (r Requirement) Demands() []PeerDemand {
	if len(r.Peer) > 0 {
		return r.Peer
	}
	return []PeerDemand{PublicDemand()}
}

// ChainDemands are those of Demands that a chain can prove: what certcheck examines.
func (r Requirement) ChainDemands() []PeerDemand {
	return slices.DeleteFunc(slices.Clone(r.Demands()), func(d PeerDemand) bool { return !d.OnChain() })
}

// TrustsMXName reports whether a demand of r is met by a match to the MX host name, which unsigned DNS chooses. Where
// none is, r.MX does not matter: the administrator named the host, or the recipient's own domain was proven.
func (r Requirement) TrustsMXName() bool {
	return slices.ContainsFunc(r.Demands(), func(d PeerDemand) bool { return d.Names.MX })
}

// anyTLS is a floor that any version passes, where none at all would mean the default.
const anyTLS = tls.VersionTLS10

// Floor returns the lowest TLS version an authenticated channel may have: MinTLS, or TLS 1.2 where none is named.
func (r Requirement) Floor() uint16 {
	if r.MinTLS == 0 {
		return tls.VersionTLS12
	}
	return r.MinTLS
}
