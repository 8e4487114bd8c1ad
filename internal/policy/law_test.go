package policy

import (
	"crypto/tls"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/internal/mail"
)

const rounds = 4000

// dice makes requirements and evidence from a small universe, so that they meet often.
type dice struct{ *rand.Rand }

func roll(t *testing.T) dice {
	const seed = 20260601
	t.Logf("seed %d", seed)
	return dice{rand.New(rand.NewPCG(seed, 1))}
}

func demands() []PeerDemand {
	return []PeerDemand{
		PublicDemand(),
		{Trust: PublicTrust, Names: Names{Domain: true}},
		{Trust: "own.pem", Names: Names{MX: true}},
		{Trust: "own.pem", Names: Names{List: []string{"a.test", "*.b.test"}}},
		{Trust: PublicTrust, Names: Names{MX: true}, Pins: []string{"sha256:01", "sha256:02"}},
		{Trust: PublicTrust, Names: Names{MX: true}, By: ByEither},
		{By: ByTLSA},
		{By: ByHost},
	}
}

// demand is any of them.
func (d dice) demand() PeerDemand { return demands()[d.IntN(len(demands()))] }

// published is what may be found for one hop.
func (d dice) published() (out []Published) {
	for d.IntN(3) > 0 {
		out = append(out, Published{Mode: []string{Enforced, Enforced, Testing, Observed}[d.IntN(4)],
			Demand: []Requirement{HostDemand(), EncryptedDemand(), DomainDemand()}[d.IntN(3)]})
	}
	return out
}

func (d dice) requirement() Requirement {
	r := Requirement{
		Channel:    Level(d.IntN(3)),
		Aim:        Level(d.IntN(3)),
		MX:         MXTrust(d.IntN(3)),
		Revocation: Revocation(d.IntN(3)),
		WithoutTLS: WithoutTLS(d.IntN(2)),
		MinTLS:     []uint16{0, tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13}[d.IntN(4)],
		RequireTLS: d.IntN(4) == 0,

		KeyExchange: KeyExchange(d.IntN(4) / 3),
		MinBits:     []int{0, 0, 128, 256}[d.IntN(4)],
	}
	for d.IntN(2) == 0 {
		r.Peer = append(r.Peer, d.demand())
	}
	for r.MX > MXAny && d.IntN(2) == 0 {
		r.PinnedBy = append(r.PinnedBy, []string{"a", "b", "c"}[d.IntN(3)])
	}
	return r
}

func (d dice) evidence() Evidence {
	if d.IntN(10) == 0 {
		return Evidence{}
	}
	e := Evidence{
		TLS:        &mail.TLS{Bits: []int{0, 112, 128, 256, 256, 256}[d.IntN(6)], Group: []string{"", "X25519", "X25519MLKEM768", "X25519MLKEM768"}[d.IntN(4)]},
		TLSVersion: []uint16{0, tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS13}[d.IntN(5)],
		MXProven:   d.IntN(3) > 0,
		RequireTLS: d.IntN(3) > 0,
		Revocation: []string{"good", "good", "", "unknown", "revoked"}[d.IntN(5)],
		Peers:      make(map[string]Proof),
		MXPins:     make(map[string]Proof),
	}
	for _, rule := range []string{"a", "b", "c"} {
		switch d.IntN(6) {
		case 0: // not asked
		case 1:
			e.MXPins[rule] = Proof{[]Shortfall{{MXChanged, "z"}}}
		default:
			e.MXPins[rule] = Proof{}
		}
	}
	e.Unstapled = e.Revocation == RevocationNotSaid && d.IntN(2) == 0
	switch d.IntN(4) {
	case 0: // no records
	case 1:
		e.DANE = &DANE{Shortfalls: []Shortfall{{DANEMismatch, "w"}}}
	default:
		e.DANE = &DANE{By: ByDANEEE}
	}
	for _, demand := range demands() {
		switch d.IntN(8) {
		case 0: // not examined
		case 1:
			e.Peers[demand.Key()] = Proof{[]Shortfall{{CertExpired, "x"}, {CertNameMismatch, "y"}}}
		default:
			e.Peers[demand.Key()] = Proof{}
		}
	}
	return e
}

// raise makes one thing in e better.
func (d dice) raise(e Evidence) Evidence {
	peers := make(map[string]Proof)
	for k, v := range e.Peers {
		peers[k] = v
	}
	e.Peers = peers
	switch d.IntN(9) {
	case 8:
		if e.TLS != nil {
			e.TLS = &mail.TLS{Bits: 256, Group: "SecP384r1MLKEM1024"}
		}
	case 7:
		e.RequireTLS = true
	case 6:
		e.DANE = &DANE{By: ByDANETA}
	case 5:
		e.MXPins = maps.Clone(e.MXPins)
		if e.MXPins == nil {
			e.MXPins = make(map[string]Proof)
		}
		e.MXPins[[]string{"a", "b", "c"}[d.IntN(3)]] = Proof{}
	case 0:
		if e.TLS == nil {
			e.TLS, e.TLSVersion = &mail.TLS{}, tls.VersionTLS12
		}
	case 1:
		e.TLSVersion = max(e.TLSVersion, tls.VersionTLS13)
	case 2:
		e.MXProven = true
	case 3:
		e.Revocation = "good"
	case 4:
		key := d.demand().Key()
		if p := e.Peers[key]; len(p.Shortfalls) > 1 {
			e.Peers[key] = Proof{p.Shortfalls[1:]}
		} else {
			e.Peers[key] = Proof{}
		}
	}
	return e
}

func passes(r Requirement, e Evidence) bool { return len(Verdict(r, e)) == 0 }

func TestCombineIsCommutativeAssociativeAndIdempotent(t *testing.T) {
	d := roll(t)
	for range rounds {
		a, b, c := d.requirement(), d.requirement(), d.requirement()
		if x, y := Combine(a, b), Combine(b, a); !reflect.DeepEqual(x, y) {
			t.Fatalf("not commutative:\n%s\n%s", x.Key(), y.Key())
		}
		x, y, z := Combine(Combine(a, b), c), Combine(a, Combine(b, c)), Combine(a, b, c)
		if !reflect.DeepEqual(x, y) || !reflect.DeepEqual(x, z) {
			t.Fatalf("not associative:\n%s\n%s\n%s", x.Key(), y.Key(), z.Key())
		}
		if x, y := Combine(a), Combine(a, a); !reflect.DeepEqual(x, y) || !reflect.DeepEqual(x, Combine(x)) {
			t.Fatalf("not idempotent:\n%s\n%s", x.Key(), y.Key())
		}
		if x, y := Combine(a, Requirement{}), Combine(a); !reflect.DeepEqual(x, y) {
			t.Fatalf("the zero requirement is not neutral:\n%s\n%s", x.Key(), y.Key())
		}
	}
}

func TestCombineIsNeverWeakerThanAnOperand(t *testing.T) {
	d := roll(t)
	passed := 0
	for range rounds {
		a, b, e := d.requirement(), d.requirement(), d.evidence()
		both := Combine(a, b)
		if !both.AtLeast(a) || !both.AtLeast(b) {
			t.Fatalf("%s is not at least\n%s and\n%s", both.Key(), a.Key(), b.Key())
		}
		if both.Channel < a.Channel || max(both.Channel, both.Aim) < max(a.Channel, a.Aim) || both.WithoutTLS < a.WithoutTLS ||
			a.RequireTLS && !both.RequireTLS || both.KeyExchange < a.KeyExchange || both.MinBits < a.MinBits {
			t.Fatalf("%s lost something of\n%s", both.Key(), a.Key())
		}
		if !passes(both, e) {
			continue
		}
		passed++
		if !passes(a, e) || !passes(b, e) {
			t.Fatalf("passes %s\nbut not both of %s\nand %s\n%+v", both.Key(), a.Key(), b.Key(), e)
		}
	}
	if passed < rounds/100 {
		t.Errorf("only %d of %d passed: the law was hardly tried", passed, rounds)
	}
}

func TestCombineLeavesItsOperandsAlone(t *testing.T) {
	a := Requirement{Channel: Authenticated, Peer: []PeerDemand{{Trust: "z", Names: Names{List: []string{"b", "a", "a"}}, Pins: []string{"2", "1"}}, PublicDemand()}}
	before, _ := json.Marshal(a)
	joined := Combine(a, Requirement{Peer: []PeerDemand{{Trust: "a"}}})
	joined.Peer[0].Trust = "changed"
	for _, p := range joined.Peer {
		for i := range p.Pins {
			p.Pins[i] = "changed"
		}
	}
	if after, _ := json.Marshal(a); string(before) != string(after) {
		t.Errorf("%s became %s", before, after)
	}
}

func TestAtLeastIsAPartialOrderThatVerdictRespects(t *testing.T) {
	d := roll(t)
	ordered := 0
	for range rounds {
		a, b, c, e := d.requirement(), d.requirement(), d.requirement(), d.evidence()
		if d.IntN(2) == 0 { // unrelated ones are rarely ordered
			b = Combine(b, c)
			a = Combine(a, b)
		}
		if !a.AtLeast(a) {
			t.Fatalf("not reflexive: %s", a.Key())
		}
		if a.AtLeast(b) && b.AtLeast(a) && a.Key() != b.Key() {
			t.Fatalf("not antisymmetric: %s\n%s", a.Key(), b.Key())
		}
		if a.AtLeast(b) && b.AtLeast(c) && !a.AtLeast(c) {
			t.Fatalf("not transitive: %s\n%s\n%s", a.Key(), b.Key(), c.Key())
		}
		if a.AtLeast(b) {
			ordered++
			if passes(a, e) && !passes(b, e) {
				t.Fatalf("%s\nis at least %s\nbut passes more: %+v", a.Key(), b.Key(), e)
			}
		}
	}
	if ordered < rounds/10 {
		t.Errorf("only %d of %d pairs were ordered", ordered, rounds)
	}
}

func TestRaisingEvidenceNeverTurnsAPassIntoAFailure(t *testing.T) {
	d := roll(t)
	passed, turned := 0, 0
	for range rounds {
		r, e := d.requirement(), d.evidence()
		better := d.raise(e)
		if passes(r, e) {
			passed++
			if !passes(r, better) {
				t.Fatalf("%s\npassed %+v\nand not %+v", r.Key(), e, better)
			}
		} else if passes(r, better) {
			turned++
		}
		if e.Reached(r) > better.Reached(r) {
			t.Fatalf("reached less with more: %+v\n%+v", e, better)
		}
	}
	if passed < rounds/10 || turned == 0 {
		t.Errorf("%d passed, %d turned to a pass: the law was hardly tried", passed, turned)
	}
}

func TestReachedNeverClaimsMoreThanVerdictAllows(t *testing.T) {
	d := roll(t)
	for range rounds {
		r, e := d.requirement(), d.evidence()
		reached := e.Reached(r)
		if passes(r, e) && reached < r.Channel {
			t.Fatalf("%s passes and reaches only %s", r.Key(), reached)
		}
		r.RequireTLS = false // no matter of the level
		if reached == Authenticated && !passes(r.Raised(Authenticated), e) {
			t.Fatalf("authenticated without a verdict: %s", r.Key())
		}
	}
}

func TestAStoredRequirementIsTheSameWhenReadBack(t *testing.T) {
	d := roll(t)
	for range rounds / 10 {
		r := Combine(d.requirement(), d.requirement())
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Requirement
		if err := json.Unmarshal(text, &back); err != nil || back.Key() != r.Key() {
			t.Fatalf("%s became %s (%v)", r.Key(), back.Key(), err)
		}
	}
}

func TestAnswersAboutRevocationJoinLikeTheWorstAndTheBest(t *testing.T) {
	d := roll(t)
	answer := func() RevocationAnswer {
		return RevocationAnswer{
			Status: []string{"", NotRevoked, RevocationNotSaid, Revoked}[d.IntN(4)], Source: []string{"crl", "ocsp", "staple+crl"}[d.IntN(3)],
		}
	}
	worse := func(a, b RevocationAnswer) bool {
		return a.Status != "" && b.Status != "" && a.severity() > b.severity()
	}
	for range rounds {
		a, b := answer(), answer()
		both, either := a.And(b), a.Or(b)
		if worse(a, both) || worse(b, both) || both.Status != a.Status && both.Status != b.Status {
			t.Fatalf("%+v and %+v give %+v", a, b, both)
		}
		if worse(either, a) || worse(either, b) || either.Status != a.Status && either.Status != b.Status {
			t.Fatalf("%+v or %+v give %+v", a, b, either)
		}
		if parts := strings.Split(both.Source, "+"); len(parts) > 3 || len(parts) > len(slices.Compact(slices.Sorted(slices.Values(parts)))) {
			t.Fatalf("%+v and %+v name a source twice: %q", a, b, both.Source)
		}
		if both.Status != b.And(a).Status || either.Status != b.Or(a).Status {
			t.Fatalf("%+v and %+v: the order matters", a, b)
		}
	}
}
