package policy

import (
	"slices"
	"strings"
)

// Demand is what one source asks of a delivery's channel. A delivery keeps its demands apart, so that a source that
// asks for something else later replaces its own and touches nobody's. A delivery's Requirement is the join of its
// demands. Stored as JSON with the delivery: fields are only ever added.
type Demand struct {
	// Source says who asks: FromRule, FromOwn, FromRequireTLS, or About one of these.
	Source      string      `json:"source"`
	Requirement Requirement `json:"requirement"`
}

const (
	ruleSource  = "rule:"
	ownSource   = "own:"
	aboutSource = "about:"
)

// FromRequireTLS is the source of what the sender of a message demands, who said REQUIRETLS (RFC 8689).
const FromRequireTLS = "requiretls"

// FromRule is the source of what a rule demands.
func FromRule(name string) string { return ruleSource + name }

// FromOwn is the source of what the configuration demands on the way to a domain of ours.
func FromOwn(domain string) string { return ownSource + domain }

// About is the source of what a notice of ours inherits from a source of the mail it speaks of.
func About(source string) string { return aboutSource + source }

// RuleOf returns the rule that a source names, also one that is inherited.
func RuleOf(source string) (name string, ok bool) {
	source, _ = Inherited(source)
	return strings.CutPrefix(source, ruleSource)
}

// OwnOf returns the domain of ours that a source names, also one that is inherited.
func OwnOf(source string) (domain string, ok bool) {
	source, _ = Inherited(source)
	return strings.CutPrefix(source, ownSource)
}

// Inherited returns the source that a notice inherits from; ok is false, and the source as it is, for one of its own.
func Inherited(source string) (from string, ok bool) { return strings.CutPrefix(source, aboutSource) }

// Join is what demands come to together.
func Join(ds []Demand) Requirement {
	switch len(ds) {
	case 0:
		return Requirement{}
	case 1:
		return Combine(ds[0].Requirement)
	}
	all := make([]Requirement, len(ds))
	for i := range ds {
		all[i] = ds[i].Requirement
	}
	return Combine(all...)
}

// SameDemands reports whether two lists demand the same for the same reasons, in whatever order.
func SameDemands(a, b []Demand) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		j := find(b, a[i].Source)
		if j < 0 || b[j].Requirement.Key() != a[i].Requirement.Key() {
			return false
		}
	}
	return true
}

func find(ds []Demand, source string) int {
	return slices.IndexFunc(ds, func(d Demand) bool { return d.Source == source })
}

// Renew holds what waits against what is in force now, where nobody said that it may get less. old is what a delivery
// has, now what is demanded of it at this moment; strict says what a source demands at its strictest, ok false where it
// is no longer in force.
//
// A source that still asks replaces who the peer must be (trust, names, pins, and whose memory of mail hosts counts),
// and keeps the higher of each of its floors (channel, TLS version, key exchange, bits, revocation, MX trust,
// REQUIRETLS, what becomes of peers without TLS). Pins that are gone, and names that were proof against DNS and are not
// any more, are less and not other: they stay.
//
// A source that no longer asks stays as it was, unless what is in force asks all of it anyway, or asks the same under
// another name. New sources join. The order is that of old, then of now.
func Renew(old, now []Demand, strict func(source string) (Requirement, bool)) []Demand {
	var out []Demand
	total := Join(now)
	for _, o := range old {
		switch i := find(now, o.Source); {
		case i >= 0:
			named, _ := strict(o.Source)
			out = append(out, Demand{o.Source, o.Requirement.renewed(now[i].Requirement, named)})
		case !total.AtLeast(o.Requirement) && !renamed(o, old, now):
			out = append(out, o)
		}
	}
	for _, n := range now {
		if find(out, n.Source) < 0 {
			out = append(out, n)
		}
	}
	return out
}

// renamed reports whether a source that is new asks all that o asked, apart from whose memory of mail hosts counts: a
// rule that was given another name.
func renamed(o Demand, old, now []Demand) bool {
	was := Combine(o.Requirement)
	was.PinnedBy = nil
	for _, n := range now {
		is := Combine(n.Requirement)
		is.PinnedBy = nil
		if find(old, n.Source) < 0 && kindOf(n.Source) == kindOf(o.Source) && is.AtLeast(was) {
			return true
		}
	}
	return false
}

func kindOf(source string) string {
	own, inherited := Inherited(source)
	kind, _, _ := strings.Cut(own, ":")
	if inherited {
		return aboutSource + kind
	}
	return kind
}

// renewed is what r becomes where its source demands n now, and named of those it protects most.
func (r Requirement) renewed(n, named Requirement) Requirement {
	r, n, named = Combine(r), Combine(n), Combine(named)
	out := n
	out.Channel = max(r.Channel, n.Channel)
	out.Aim = max(r.Aim, n.Aim)
	out.Revocation = max(r.Revocation, n.Revocation)
	out.MinTLS = max(r.MinTLS, n.MinTLS)
	out.KeyExchange = max(r.KeyExchange, n.KeyExchange)
	out.MinBits = max(r.MinBits, n.MinBits)
	out.WithoutTLS = max(r.WithoutTLS, n.WithoutTLS)
	out.RequireTLS = r.RequireTLS || n.RequireTLS
	peers := n.Peer
	if len(peers) == 0 { // it protects this delivery less than before, but who the peer is it still says
		peers = named.Peer
	}
	out.Peer = renewedPeers(r.Peer, peers)
	if len(out.Peer) == 0 || out.TrustsMXName() {
		out.MX = max(r.MX, n.MX)
	}
	if out.MX == MXPinned && n.MX != MXPinned {
		out.PinnedBy = r.PinnedBy
	}
	return Combine(out)
}

// renewedPeers are the peer demands of one source, replaced. A source has one; several are of a delivery that an older
// release stored without saying which is whose.
func renewedPeers(old, now []PeerDemand) []PeerDemand {
	if len(now) == 0 {
		return old
	}
	out := slices.Clone(now)
	for i := range out {
		if slices.ContainsFunc(old, func(o PeerDemand) bool { return o.Key() == out[i].Key() }) {
			continue
		}
		for _, o := range old {
			switch less := lacks(out[i], o); {
			case less && len(old) > 1:
				return append(out, old...)
			case less:
				out[i] = kept(out[i], o)
			}
		}
	}
	return out
}

// lacks reports whether n asks for fewer proofs than o: no pin, a name that DNS chooses, or either of two proofs.
func lacks(n, o PeerDemand) bool {
	if n.By == ByEither && o.By != ByEither {
		return true
	}
	return n.OnChain() && o.OnChain() && (len(o.Pins) > 0 && len(n.Pins) == 0 || n.Names.MX && !o.Names.MX)
}

// kept is n with the proofs of o that it lacks.
func kept(n, o PeerDemand) PeerDemand {
	if n.By == ByEither {
		n.By = o.By
	}
	if !o.OnChain() || !n.OnChain() {
		return n
	}
	if len(n.Pins) == 0 {
		n.Pins = o.Pins
	}
	if n.Names.MX && !o.Names.MX {
		n.Names = o.Names
	}
	return n
}
