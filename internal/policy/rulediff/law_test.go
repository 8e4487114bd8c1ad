package rulediff

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"postern/internal/lab/testkit/chance"
	"postern/internal/lab/testkit/ruledice"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// TestAChangeOfAnInboundRuleThatIsNotMarkedWeakerIsNotWeaker: what Diff does not mark lets nobody in who was kept out.
func TestAChangeOfAnInboundRuleThatIsNotMarkedWeakerIsNotWeaker(t *testing.T) {
	d := ruledice.Roll(t)
	marked := 0
	for range 4 * chance.Rounds() {
		before, after := d.Inbound("the rule"), d.Inbound("the rule")
		before.Scope, before.Mode = rule.Inbound, rule.Enforce
		if d.IntN(2) == 0 {
			after.Match, after.Scope, after.Mode, after.Expires = before.Match, rule.Inbound, rule.Enforce, before.Expires
		}
		old, new := parsed(t, before), parsed(t, after)
		changes := Diff(old, new)
		if len(changes) == 1 && changes[0].Weaker {
			marked++
			continue
		}
		a := arrival(d)
		var was, is []policy.Requirement
		for _, term := range old.Terms(a) {
			was = append(was, term.Requirement)
		}
		for _, term := range new.Terms(a) {
			if !term.Test {
				is = append(is, term.Requirement)
			}
		}
		x, y := policy.Combine(is...), policy.Combine(was...)
		if x.Channel < y.Channel || x.MinTLS < y.MinTLS || x.MinBits < y.MinBits || x.KeyExchange < y.KeyExchange || x.Revocation < y.Revocation {
			t.Fatalf("%s\nbecame\n%s\nunmarked: %+v\n%s", y.Key(), x.Key(), changes, after.TOML())
		}
	}
	if marked == 0 {
		t.Error("none was marked")
	}
}

func TestAChangeThatIsNotMarkedWeakerIsNotWeaker(t *testing.T) {
	d := ruledice.Roll(t)
	marked, weaker := 0, 0
	for range 4 * chance.Rounds() {
		before := d.Rule("the rule")
		before.Scope, before.Mode = rule.Outbound, rule.Enforce
		after := d.Change(before)
		old, new := parsed(t, before), parsed(t, after)
		changes := Diff(old, new)
		f := d.Facts()
		f.Now = ruledice.Pick(d, ruledice.Now, ruledice.Now, ruledice.Now.AddDate(0, 1, 0), ruledice.Now.AddDate(1, 0, 0))
		lower := false
		a, b := new.Evaluate(f), old.Evaluate(f)
		for i := range a.Recipients {
			x, y := a.Recipients[i].Requirement, b.Recipients[i].Requirement
			x.WithoutTLS, y.WithoutTLS = 0, 0 // how long mail waits is no protection
			lower = lower || !protects(x, y)
		}
		if len(changes) == 1 && changes[0].Weaker {
			marked++
		}
		if lower {
			weaker++
			if len(changes) != 1 || !changes[0].Weaker {
				t.Fatalf("not marked: %+v\nfrom\n%s\nto\n%s\nfor %+v", changes, before.TOML(), after.TOML(), f)
			}
		}
	}
	if weaker < chance.Rounds()/50 || marked == 4*chance.Rounds() {
		t.Errorf("%d weaker, %d marked of %d: the law was hardly tried", weaker, marked, 4*chance.Rounds())
	}
}

// protects reports whether x protects at least as y does, when both come from one rule each: a demand with fewer names
// or with fewer pins is as strong.
func protects(x, y policy.Requirement) bool {
	if max(x.Channel, x.Aim) < max(y.Channel, y.Aim) || x.Channel < y.Channel || x.MinTLS < y.MinTLS || x.KeyExchange < y.KeyExchange || x.MinBits < y.MinBits || x.Revocation < y.Revocation {
		return false
	}
	for _, want := range y.Peer {
		if !slices.ContainsFunc(x.Peer, func(d policy.PeerDemand) bool {
			return d.Trust == want.Trust && !weaker("force_tls.names", rule.ForceTLS{Names: want.Names}, rule.ForceTLS{Names: d.Names}) &&
				!weaker("force_tls.pins", rule.ForceTLS{Pins: want.Pins}, rule.ForceTLS{Pins: d.Pins})
		}) {
			return false
		}
	}
	return true
}

// weaker asks the grammar about a key.
func weaker(key string, before, after rule.ForceTLS) bool {
	keys := rule.Keys()
	i := slices.IndexFunc(keys, func(k rule.Key) bool { return k.Name == key })
	return keys[i].Weaker(&rule.Rule{ForceTLS: before}, &rule.Rule{ForceTLS: after})
}

// parsed is a set of one rule, with the lists that it may name.
func parsed(t *testing.T, r rule.Rule) *rules.Set {
	t.Helper()
	return mustParse(t, string(ruledice.File(r)))
}

// TestEqualRulesDoNotDiffer: what is printed and read again has no change.
func TestEqualRulesDoNotDiffer(t *testing.T) {
	d := ruledice.Roll(t)
	for range chance.Rounds() {
		var list []rule.Rule
		for i := range d.IntN(6) {
			r := d.Rule(fmt.Sprintf("rule %d", i))
			switch d.IntN(6) {
			case 0:
				r = d.Inbound(r.Name)
			case 1, 2:
				r = d.Effect(r)
			}
			list = append(list, r)
		}
		s := mustParse(t, string(ruledice.File(list...)))
		if changes := Diff(s, mustParse(t, string(s.TOML()))); len(changes) != 0 {
			t.Fatalf("Diff of equal sets: %+v", changes)
		}
	}
}

// arrival is mail that comes in.
func arrival(d ruledice.Dice) *rules.Arrival {
	a := &rules.Arrival{Client: netip.MustParseAddr(ruledice.Pick(d, "10.0.0.1", "192.0.2.1", "2001:db8::1", "203.0.113.9")),
		Listener: ruledice.Pick(d, "smtp", "[::]:25", "other"), Now: ruledice.Pick(d, ruledice.Now, ruledice.Now, ruledice.Now.AddDate(0, 1, 0))}
	if d.IntN(4) > 0 {
		a.From = mail.MustAddress(d.Address())
	}
	if d.IntN(2) == 0 {
		a.To = []mail.Address{mail.MustAddress(d.Address())}
	}
	return a
}
