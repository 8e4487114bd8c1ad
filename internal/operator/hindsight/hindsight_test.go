package hindsight_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/history/certstore"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/operator/hindsight"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

var (
	now    = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	domain = mail.MustDomain("clinic.test")
	host   = mail.MustDomain("mx.clinic.test")
)

// world is what is known now, and what was when mail was sent.
type world struct {
	public, private *pki.CA
	kept            map[string][]byte
	pins            []mxpins.Pin
	unreadable      bool // the pins
	pools           map[string]*x509.CertPool
	seen            map[string]policy.Evidence // what was examined already
}

func newWorld() *world {
	w := &world{public: pki.New(now, "Public"), private: pki.New(now, "Private"), kept: map[string][]byte{}, seen: map[string]policy.Evidence{}}
	w.pools = map[string]*x509.CertPool{policy.PublicTrust: w.public.Pool(), "/ca.pem": w.private.Pool()}
	return w
}

func (w *world) roots(trusts ...string) (map[string]*x509.CertPool, error) {
	out := map[string]*x509.CertPool{}
	for _, t := range trusts {
		if w.pools[t] == nil {
			return out, errors.New("there is no such file")
		}
		out[t] = w.pools[t]
	}
	return out, nil
}

func (w *world) certificates(_ context.Context, digests []string) (out []certstore.Certificate, _ error) {
	for _, d := range digests {
		if der, ok := w.kept[d]; ok {
			out = append(out, certstore.Certificate{SHA256: d, DER: der})
		}
	}
	return out, nil
}

func (w *world) pinsOf(context.Context, string) ([]mxpins.Pin, error) {
	if w.unreadable {
		return nil, errors.New("the disk is gone")
	}
	return w.pins, nil
}

func (w *world) judge() *hindsight.Judge {
	return hindsight.New(hindsight.Sources{Certificates: w.certificates, Roots: w.roots, Pins: w.pinsOf})
}

// connection is one that carried mail, as the sender of then knew it.
type connection struct {
	chain      []*x509.Certificate
	host       mail.Domain
	version    uint16
	proven     bool // the name of the host
	revocation policy.RevocationAnswer
	asked      bool // whether the certificate was revoked
	bits       int
	group      string
}

// evidence is what deliver makes of a connection under a requirement, by the same means.
func (w *world) evidence(c *connection, r policy.Requirement) policy.Evidence {
	key := c.host.String() + " " + certcheck.Facts(c.chain[0]).SHA256
	for _, d := range r.Demands() {
		key += " " + d.Key()
	}
	e, done := w.seen[key]
	if !done {
		e = certcheck.Examine(certcheck.Input{Chain: c.chain, Host: c.host, Domain: domain, Demands: r.Demands(), Roots: w.pools, Now: now})
		w.seen[key] = e
	}
	e.TLS = &mail.TLS{Version: map[uint16]string{tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2",
		tls.VersionTLS13: "TLSv1.3"}[c.version], Bits: c.bits, Group: c.group}
	e.TLSVersion, e.MXProven = c.version, c.proven
	e.MXPins = mxpins.Judge(w.pins, domain.String(), r.PinnedBy, c.host).Proofs
	if c.asked {
		e.SetRevocation(c.revocation, now)
	}
	return e
}

// record is what is left of a delivery over a connection: what the store kept, and read again.
func (w *world) record(t *testing.T, c *connection, made policy.Requirement) *queue.Record {
	t.Helper()
	e := w.evidence(c, made)
	a := attempt.Attempt{At: now, Tries: []attempt.Try{{At: now, Host: c.host.String(), Used: true, Rung: attempt.Modern,
		Reached: e.Reached(made), Evidence: &e, Shortfalls: policy.Verdict(made.Raised(policy.Authenticated), e)}}}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	r := &queue.Record{Delivery: queue.Delivery{Recipient: mail.Recipient{Address: mail.MustAddress("dr@clinic.test")},
		Requirement: made, State: queue.Delivered, History: make([]attempt.Attempt, 1)}}
	if err := json.Unmarshal(text, &r.History[0]); err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) keep(chain []*x509.Certificate) {
	for _, c := range chain {
		w.kept[certcheck.Facts(c).SHA256] = c.Raw
	}
}

func pin(c *x509.Certificate) string { return "sha256:" + certcheck.Facts(c).SPKI }

// TestHindsightIsTheGatewaysJudgement: what is said of a past connection under other demands is what the gateway would
// have said, over ten thousand connections and demands; it is not known only where revocation was not examined.
func TestHindsightIsTheGatewaysJudgement(t *testing.T) {
	const seed = 20261128
	dice := rand.New(rand.NewPCG(seed, 1))
	w := newWorld()
	issue := func(ca *pki.CA, o pki.Options) []*x509.Certificate {
		chain := ca.Issue(o).Chain
		w.keep(chain)
		return chain
	}
	names := []string{"mx.clinic.test"}
	chains := [][]*x509.Certificate{
		issue(w.public, pki.Options{Names: names}),
		issue(w.public, pki.Options{Names: []string{"clinic.test", "mx.clinic.test"}}),
		issue(w.public, pki.Options{Names: []string{"other.test"}}),
		issue(w.public, pki.Options{Names: names, OmitIntermediates: true}),
		issue(w.public, pki.Options{Names: names, NotBefore: now.AddDate(0, -2, 0), NotAfter: now.Add(-time.Minute)}),
		issue(w.public, pki.Options{Names: names, NotBefore: now.Add(time.Minute), NotAfter: now.AddDate(0, 1, 0)}),
		issue(w.public, pki.Options{Names: names, MustStaple: true}),
		issue(w.private, pki.Options{Names: names}),
		issue(w.private, pki.Options{Names: []string{"a.test"}, SendRoot: true}),
		issue(w.public, pki.Options{Names: names, SelfSigned: true}),
		issue(w.public, pki.Options{Names: many(40, "mx.clinic.test")}),
	}
	demands := []policy.PeerDemand{
		policy.PublicDemand(),
		{Trust: policy.PublicTrust, Names: policy.Names{Domain: true}},
		{Trust: policy.PublicTrust, Names: policy.Names{MX: true, List: []string{"*.test", "other.test"}}},
		{Trust: "/ca.pem", Names: policy.Names{MX: true}},
		{Trust: "/gone.pem", Names: policy.Names{MX: true}},
		{Trust: "/ca.pem", Names: policy.Names{List: []string{"a.test"}}},
		{Trust: policy.PublicTrust, Names: policy.Names{MX: true}, Pins: []string{pin(w.public.Root())}},
		{Trust: policy.PublicTrust, Names: policy.Names{MX: true}, Pins: []string{pin(w.public.Intermediate()), "sha256:" + strings.Repeat("0", 64)}},
		{Trust: policy.PublicTrust, Names: policy.Names{MX: true}, Pins: []string{pin(chains[0][0])}},
	}
	w.pins = []mxpins.Pin{{Domain: "clinic.test", Rule: "knows", Name: "clinic.test", By: policy.MXByFirstUse},
		{Domain: "clinic.test", Rule: "changed", Name: "else.test", By: policy.MXByFirstUse}}
	requirement := func() policy.Requirement {
		r := policy.Requirement{Channel: policy.Level(dice.IntN(3)), MX: policy.MXTrust(dice.IntN(3)), Revocation: policy.Revocation(dice.IntN(3)),
			MinTLS:  []uint16{0, tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13}[dice.IntN(4)],
			MinBits: []int{0, 0, 128, 256}[dice.IntN(4)], KeyExchange: policy.KeyExchange(dice.IntN(4) / 3)}
		for dice.IntN(2) == 0 {
			r.Peer = append(r.Peer, demands[dice.IntN(len(demands))])
		}
		for r.MX == policy.MXPinned && dice.IntN(3) > 0 {
			r.PinnedBy = append(r.PinnedBy, []string{"knows", "changed", "new"}[dice.IntN(3)])
		}
		return policy.Combine(r)
	}
	judge, outcomes := w.judge(), map[hindsight.Outcome]int{}
	for range 10_000 {
		made, asked := requirement(), requirement()
		c := &connection{chain: chains[dice.IntN(len(chains))], host: host, proven: dice.IntN(3) == 0,
			bits: []int{128, 256, 256}[dice.IntN(3)], group: []string{"X25519", "X25519MLKEM768", "X25519MLKEM768"}[dice.IntN(3)],
			version: uint16(tls.VersionTLS10 + dice.IntN(4)), asked: made.Revocation > policy.RevocationOff && dice.IntN(4) > 0,
			revocation: policy.RevocationAnswer{Status: []string{"good", "unknown", "revoked"}[dice.IntN(3)]}}
		c.revocation.Unstapled = c.revocation.Status == "unknown" && dice.IntN(2) == 0
		got := judge.Ask(t.Context(), w.record(t, c, made), asked)
		outcomes[got.Outcome]++
		short := policy.Verdict(asked, w.evidence(c, asked))
		switch got.Outcome {
		case hindsight.AsNow:
			if asked.Forced() && len(short) > 0 {
				t.Fatalf("%+v over %+v: as now, the gateway says %v", asked, c, short)
			}
		case hindsight.WouldWait:
			if len(short) == 0 || !slices.Contains(short, policy.Shortfall{Reason: got.Reason, Text: got.Text}) || c.asked && short[0].Reason != got.Reason {
				t.Fatalf("%+v over %+v: %+v, the gateway says %v", asked, c, got, short)
			}
		default:
			rest := asked
			rest.Revocation = policy.RevocationOff
			open := asked.Channel == policy.Authenticated && asked.Revocation > policy.RevocationOff && (!c.asked || strings.Contains(got.Text, "another chain"))
			if !open || len(policy.Verdict(rest, w.evidence(c, rest))) > 0 {
				t.Fatalf("%+v over %+v: %+v, and everything was examined", asked, c, got)
			}
		}
	}
	t.Log(outcomes)
	for _, o := range []hindsight.Outcome{hindsight.AsNow, hindsight.WouldWait, hindsight.NotKnown} {
		if outcomes[o] < 100 {
			t.Errorf("%s came only %d times: the dice are loaded", o, outcomes[o])
		}
	}
}

func many(n int, last string) (out []string) {
	for i := range n {
		out = append(out, "m"+strings.Repeat("x", i)+".other.test")
	}
	return append(out, last)
}

// The cases in which a preview was wrong, or would be.
func TestWhatWasNotExaminedIsNotKnown(t *testing.T) {
	plain := policy.Requirement{}
	force := func(change func(*policy.Requirement)) policy.Requirement {
		r := policy.Requirement{Channel: policy.Authenticated}
		change(&r)
		return r
	}
	demand := func(d policy.PeerDemand) policy.Requirement {
		return force(func(r *policy.Requirement) { r.Peer = []policy.PeerDemand{d} })
	}
	pinned := force(func(r *policy.Requirement) { r.MX, r.PinnedBy = policy.MXPinned, []string{"x"} })
	revoked := force(func(r *policy.Requirement) { r.Revocation = policy.RevocationCheck })
	good := policy.RevocationAnswer{Status: policy.NotRevoked}
	for what, c := range map[string]struct {
		change func(w *world, c *connection)
		made   policy.Requirement
		asked  policy.Requirement
		want   hindsight.Outcome
		reason policy.Reason
		text   string
	}{
		"what was authenticated":               {nil, plain, force(func(*policy.Requirement) {}), hindsight.AsNow, "", ""},
		"a certificate that is not kept":       {func(w *world, _ *connection) { clear(w.kept) }, plain, demand(policy.PeerDemand{Trust: policy.PublicTrust, Names: policy.Names{Domain: true}}), hindsight.NotKnown, "", "not kept"},
		"not kept, and the demand was met":     {func(w *world, _ *connection) { clear(w.kept) }, plain, force(func(*policy.Requirement) {}), hindsight.AsNow, "", ""},
		"not kept, and a proven name demanded": {func(w *world, _ *connection) { clear(w.kept) }, plain, force(func(r *policy.Requirement) { r.MX = policy.MXProven }), hindsight.WouldWait, policy.MXUnproven, ""},
		"not kept, and too old a TLS": {func(w *world, c *connection) { clear(w.kept); c.version = tls.VersionTLS11 }, plain,
			demand(policy.PeerDemand{Trust: "/ca.pem", Names: policy.Names{MX: true}}), hindsight.WouldWait, policy.TLSVersion, ""},
		"names that are remembered, for the first time": {nil, plain, pinned, hindsight.AsNow, "", ""},
		"names that are remembered, this one":           {func(w *world, _ *connection) { w.remembers("clinic.test") }, plain, pinned, hindsight.AsNow, "", ""},
		"names that are remembered, another one":        {func(w *world, _ *connection) { w.remembers("else.test") }, plain, pinned, hindsight.WouldWait, policy.MXChanged, ""},
		"names that cannot be read":                     {func(w *world, _ *connection) { w.unreadable = true }, plain, pinned, hindsight.NotKnown, "", "cannot be read"},
		"names, and the domain's own is wanted": {func(w *world, _ *connection) { w.remembers("else.test") }, plain, force(func(r *policy.Requirement) {
			r.MX, r.PinnedBy, r.Peer = policy.MXPinned, []string{"x"}, []policy.PeerDemand{{Trust: policy.PublicTrust, Names: policy.Names{Domain: true}}}
		}), hindsight.AsNow, "", ""},
		"revocation, which nobody asked": {nil, plain, revoked, hindsight.NotKnown, "", "nobody asked"},
		"revocation, which was asked":    {func(_ *world, c *connection) { c.asked, c.revocation = true, good }, plain, revoked, hindsight.AsNow, "", ""},
		"revocation, of another chain": {func(_ *world, c *connection) { c.asked, c.revocation = true, good }, plain, force(func(r *policy.Requirement) {
			r.Revocation, r.Peer = policy.RevocationCheck, []policy.PeerDemand{{Trust: policy.PublicTrust, Names: policy.Names{MX: true}, Pins: []string{"sha256:" + strings.Repeat("0", 64)}}}
		}), hindsight.WouldWait, policy.PinMismatch, ""},
		"a staple that was promised and did not come": {func(_ *world, c *connection) {
			c.asked, c.revocation = true, policy.RevocationAnswer{Status: policy.RevocationNotSaid, Unstapled: true}
		}, plain, revoked, hindsight.WouldWait, policy.RevocationUnknown, ""},
		"encrypted, over TLS 1.1":  {func(_ *world, c *connection) { c.version = tls.VersionTLS11 }, plain, policy.Requirement{Channel: policy.Encrypted}, hindsight.AsNow, "", ""},
		"a CA that cannot be read": {nil, plain, demand(policy.PeerDemand{Trust: "/gone.pem", Names: policy.Names{MX: true}}), hindsight.WouldWait, policy.PolicyUnavailable, ""},
		"nothing is forced":        {nil, plain, plain, hindsight.AsNow, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld()
			con := &connection{chain: w.public.Issue(pki.Options{Names: []string{"mx.clinic.test", "clinic.test"}}).Chain, host: host, version: tls.VersionTLS13}
			w.keep(con.chain)
			if c.change != nil {
				c.change(w, con)
			}
			got := w.judge().Ask(t.Context(), w.record(t, con, c.made), c.asked)
			if got.Outcome != c.want || got.Reason != c.reason || !strings.Contains(got.Text, c.text) || (got.Outcome == hindsight.AsNow) != (got.Text == "") {
				t.Errorf("%+v, want %s %s %q", got, c.want, c.reason, c.text)
			}
		})
	}
}

func (w *world) remembers(name string) {
	w.pins = []mxpins.Pin{{Domain: domain.String(), Rule: "x", Name: name, By: policy.MXByFirstUse}}
}

// A first use takes one name. Where mail went to hosts of several, one of them would have waited, and which is not
// known.
func TestAFirstUseTakesOneName(t *testing.T) {
	w := newWorld()
	judge := w.judge()
	pinned := policy.Requirement{Channel: policy.Authenticated, MX: policy.MXPinned, PinnedBy: []string{"x"}}
	for i, name := range []string{"mx.clinic.test", "mx2.clinic.test", "mx.else.test"} {
		c := &connection{chain: w.public.Issue(pki.Options{Names: []string{name}}).Chain, host: mail.MustDomain(name), version: tls.VersionTLS13}
		w.keep(c.chain)
		want := hindsight.AsNow
		if i == 2 {
			want = hindsight.NotKnown
		}
		if got := judge.Ask(t.Context(), w.record(t, c, policy.Requirement{}), pinned); got.Outcome != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Mail that went in the clear would have waited for what kept it from TLS.
func TestWhatWentInTheClearHasItsReason(t *testing.T) {
	forced := policy.Requirement{Channel: policy.Encrypted}
	refused := policy.Requirement{Channel: policy.Encrypted, WithoutTLS: policy.WithoutTLSReject}
	clear := attempt.Try{Host: "mx.clinic.test", Rung: attempt.Plain, Used: true}
	record := func(tries ...attempt.Try) *queue.Record {
		return &queue.Record{Delivery: queue.Delivery{State: queue.Delivered, History: []attempt.Attempt{{Tries: tries}}}}
	}
	stripped, broken := clear, attempt.Try{Host: "mx.clinic.test", Rung: attempt.Modern, Reason: policy.TLSHandshake, Text: "it broke"}
	stripped.Reason, stripped.Text = policy.StartTLSStripped, "masked"
	for what, c := range map[string]struct {
		record *queue.Record
		asked  policy.Requirement
		want   hindsight.Answer
	}{
		"no TLS":                 {record(clear), forced, hindsight.Answer{Outcome: hindsight.WouldWait, Reason: policy.StartTLSNotOffered, Text: "the server had no TLS"}},
		"no TLS, to be refused":  {record(clear), refused, hindsight.Answer{Outcome: hindsight.WouldReturn, Reason: policy.StartTLSNotOffered, Text: "the server had no TLS"}},
		"masked":                 {record(stripped), forced, hindsight.Answer{Outcome: hindsight.WouldWait, Reason: policy.StartTLSStripped, Text: "masked"}},
		"a handshake that broke": {record(broken, clear), refused, hindsight.Answer{Outcome: hindsight.WouldWait, Reason: policy.TLSHandshake, Text: "it broke"}},
		"nothing is recorded":    {record(), forced, hindsight.Answer{Outcome: hindsight.NotKnown, Text: "the record does not say how it was carried"}},
	} {
		if got := newWorld().judge().Ask(t.Context(), c.record, c.asked); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

// TestWhatOldRecordsDoNotSayIsNotKnown: a record without the strength of the cipher, or the key exchange of TLS 1.3, is
// neither good nor bad. TLS 1.2 without a group had none.
func TestWhatOldRecordsDoNotSayIsNotKnown(t *testing.T) {
	w := newWorld()
	chain := w.public.Issue(pki.Options{Names: []string{"mx.clinic.test"}}).Chain
	w.keep(chain)
	for _, c := range []struct {
		version uint16
		asked   policy.Requirement
		want    hindsight.Outcome
	}{
		{tls.VersionTLS13, policy.Requirement{Channel: policy.Encrypted, MinBits: 128}, hindsight.NotKnown},
		{tls.VersionTLS13, policy.Requirement{Channel: policy.Encrypted, KeyExchange: policy.HybridExchange}, hindsight.NotKnown},
		{tls.VersionTLS12, policy.Requirement{Channel: policy.Encrypted, KeyExchange: policy.HybridExchange}, hindsight.WouldWait},
		{tls.VersionTLS12, policy.Requirement{Channel: policy.Encrypted, MinBits: 128, MinTLS: tls.VersionTLS13}, hindsight.WouldWait},
	} {
		r := w.record(t, &connection{chain: chain, host: host, version: c.version}, policy.Requirement{})
		if got := w.judge().Ask(t.Context(), r, c.asked); got.Outcome != c.want {
			t.Errorf("%+v over %s: %+v", c.asked, tls.VersionName(c.version), got)
		}
	}
}
