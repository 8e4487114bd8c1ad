package rules

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/testkit/chance"
	"postern/internal/mail"
	"postern/internal/mail/mimewalk"
	"postern/internal/policy"
)

// dice makes random rules and messages from a small world, so that they meet often.
type dice struct{ chance.Dice }

func roll(t *testing.T) dice { return dice{chance.Roll(t)} }

func pick[T any](d dice, list ...T) T { return chance.Pick(d.Dice, list...) }

func some[T any](d dice, list ...T) []T {
	var out []T
	for _, v := range list {
		if d.IntN(3) == 0 {
			out = append(out, v)
		}
	}
	return out
}

func (d dice) address() string {
	return pick(d, "ann", "Bob", `"c d"`, "müller", "x.y") + "@" +
		pick(d, "a.test", "B.test", "x.a.test", "y.x.a.test", "bücher.test", "xn--bcher-kva.test", "[192.0.2.1]")
}

func (d dice) addressPattern() string {
	return pick(d, d.address(), "a.test", "b.test", "*.a.test", "*.test", "*", "bücher.test", "ann@*", "a*@*.a.test", "?.test",
		"*a.test", "list:near", "list:far", "re:^ann@", "re:[^b].test$", "b??@b.test", "x.*", "*@bücher.test", "MÜLLER@b.test")
}

func (d dice) patterns() []string {
	if d.IntN(3) == 0 {
		return nil
	}
	out := []string{d.addressPattern()}
	for d.IntN(2) == 0 {
		out = append(out, d.addressPattern())
	}
	return out
}

func (d dice) rule(name string) Rule {
	r := defaultRule()
	r.Name, r.Action = name, ForceTLSAction
	r.Description = pick(d, "", "why\tnot", `"quoted" \ text`, "ümlaut\u202e")
	r.Description = strings.Map(func(c rune) rune {
		if c == '\t' || c == '\u202e' {
			return ' '
		}
		return c
	}, r.Description)
	r.Scope = pick(d, Outbound, Outbound, Outbound, Disabled)
	r.Mode = pick(d, Enforce, Enforce, Test)
	r.Expires = pick(d, Expiry{}, Expiry{}, Expiry{At: now.Add(time.Hour)}, Expiry{At: now.Add(-time.Hour)},
		Expiry{At: time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC), Date: true}, Expiry{At: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), Date: true})
	r.Match = Match{
		Sender: d.patterns(), Recipient: d.patterns(), Literals: d.IntN(3) == 0,
		SenderIP: some(d, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.1/32")),
		Header:   some(d, HeaderMatch{"X-A", "1*"}, HeaderMatch{"Subject", `*\**`}, HeaderMatch{"x-a", "re:2|3"}, HeaderMatch{"From", ""}),
		Subject:  some(d, "*secret*", "re:^HELLO", "?ello"),
		SizeOver: pick[int64](d, 0, 0, 0, 500, 10_000_000, 1<<20), RecipientsOver: pick(d, 0, 0, 0, 1, 2), Case: d.IntN(3) == 0,
	}
	if d.IntN(2) == 0 { // most conditions at once match nothing
		r.Match.Header, r.Match.Subject, r.Match.SenderIP = nil, nil, nil
	} else if d.IntN(3) == 0 {
		r.Match.Attachment, r.Match.Body = some(d, "*.pdf", "*/zip"), some(d, "*secret*", "re:^HELLO")
	}
	if d.IntN(4) == 0 {
		r.Match.Sender = append(r.Match.Sender, "<>")
	}
	if d.IntN(4) == 0 {
		r.Domain, r.Below = some(d, mail.MustDomain("a.test"), mail.MustDomain("b.test"), mail.MustDomain("x.a.test")), d.IntN(2) == 0
	}
	if d.IntN(3) == 0 {
		r.Unless = d.exception()
	}
	r.Receipt = pick(d, "", "", ReceiptSender)
	r.ForceTLS = ForceTLS{
		Unspecified: pick(d, UnspecifiedForce, UnspecifiedOpportunistic),
		Names:       pick(d, policy.Names{MX: true}, policy.Names{Domain: true}, policy.Names{List: []string{"*.a.test", "b.test"}}, policy.Names{List: []string{"b.test"}}),
		MX:          pick(d, policy.MXPinned, policy.MXPinned, policy.MXAny, policy.MXProven),
		Trust:       pick(d, "public", "public", "/ca.pem", "./other ca.pem"),
		Pins:        some(d, "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("cd", 32)),
		Revocation:  pick(d, policy.RevocationCheck, policy.RevocationCheck, policy.RevocationOff, policy.RevocationRequire),
		MinTLS:      pick[uint16](d, 0x301, 0x303, 0x303, 0x304),
		Defer:       pick(d, time.Second, time.Hour, 24*time.Hour, 90*time.Minute, 1500*time.Millisecond),
		WithoutTLS:  pick(d, WithoutTLSUnsaid, WithoutTLSUnsaid, WithoutTLSDefer, WithoutTLSReject),
		KeyExchange: pick(d, policy.AnyExchange, policy.AnyExchange, policy.HybridExchange), MinBits: pick(d, 0, 0, 128, 256),
		Otherwise: pick(d, nil, nil, []string{"route:portal", "bounce"}, []string{"route:gate-2", "route:portal", "bounce"}),
	}
	return r
}

// smallSet makes a Set of rules that may name the lists of this small world.
func smallSet(rules []Rule) *Set { return compile(rules, smallLists()...) }

func smallLists() []NamedList {
	lists := []NamedList{{Name: "near", Values: []string{"a.test", "*.b.test", "Bob@x.a.test", "bücher.test"}},
		{Name: "Far", Values: []string{"*.a.test", "ann@B.test"}}}
	for i := range lists {
		for _, v := range lists[i].Values {
			lists[i].add(v)
		}
		lists[i].sort()
	}
	return lists
}

// exception is what a rule may have in [rule.unless]: a key or two.
func (d dice) exception() (m Match) {
	for range 1 + d.IntN(2) {
		switch d.IntN(8) {
		case 7:
			m.Attachment, m.Body = some(d, "*.pdf", "text/*"), some(d, "*secret*")
		case 0:
			m.Sender = d.patterns()
		case 1, 2:
			m.Recipient = d.patterns()
		case 3:
			m.Header = some(d, HeaderMatch{"X-A", "1*"}, HeaderMatch{"Subject", `*\**`}, HeaderMatch{"x-a", "re:2|3"})
		case 4:
			m.Subject = some(d, "*secret*", "re:^HELLO", "?ello")
		case 5:
			m.SizeOver = 500
		default:
			m.SenderIP = some(d, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"))
		}
	}
	m.Case = d.IntN(6) == 0
	return m
}

// effect makes the rule one of another action.
func (d dice) effect(r Rule) Rule {
	r.ForceTLS, r.Receipt = defaultRule().ForceTLS, ""
	r.Action = pick(d, RejectAction, HoldAction, RedirectAction, BCCAction, AddHeaderAction, AllowAction)
	switch r.Action {
	case RejectAction:
		r.Reject.Text = pick(d, "", "not by mail")
	case HoldAction:
		r.Hold = Hold{1 + d.IntN(9), pick(d, policy.ThenReturn, policy.ThenDelete, policy.ThenRelease)}
	case RedirectAction:
		r.Redirect.Route = pick(d, "portal", "gate-2")
	case BCCAction:
		r.BCC.To = append([]string{"archive@c.test"}, some(d, "Archive@c.test", "other@d.test")...)
	case AddHeaderAction:
		r.AddHeader.Fields = append([]HeaderMatch{{"X-Class", "a"}}, some(d, HeaderMatch{"X-More", "=?utf-8?q?=C3=BC?="})...)
	}
	return r
}

func (d dice) set() *Set {
	var rules []Rule
	for i := range d.IntN(6) {
		r := d.rule(fmt.Sprintf("rule %d", i))
		switch d.IntN(6) {
		case 0:
			r = d.inbound(r.Name)
		case 1, 2:
			r = d.effect(r)
		}
		rules = append(rules, r)
	}
	return smallSet(rules)
}

func (d dice) facts() *Facts {
	f := facts(size(int64(pick(d, 100, 1000, 20_000_000))), client(pick(d, "10.0.0.1", "192.0.2.1", "2001:db8::1")),
		header(some(d, "Subject: a secret", "Subject: hello", "X-A: 1", "X-A: 3 *", "From: Ann <ann@a.test>", "From: x@y.x.a.test",
			"Subject: =?none?q?secret?=", "X-A: =?utf-8?q?1?= =?utf-8?q?_2?=")...))
	f.From = mail.MustAddress(d.address())
	if d.IntN(4) > 0 {
		f.Content = &mimewalk.Content{TextDoubt: pick(d, "", "", "", "is broken"), Texts: some(d, "a secret", "hello")}
		if d.IntN(2) == 0 {
			f.Content.Attachments = []mimewalk.Attachment{{Type: pick(d, "text/plain", "application/zip"), Names: some(d, "a.pdf", "b.txt")}}
		}
	}
	if d.IntN(5) == 0 {
		f.From = mail.Address{}
		f.Origin.Senders = some(d, "a.test", "*.a.test", "c.test")
	}
	f.Recipients = nil
	for range 1 + d.IntN(4) {
		f.Recipients = append(f.Recipients, mail.MustAddress(d.address()))
		f.Local = append(f.Local, d.IntN(6) == 0)
	}
	return f
}

func rounds() int { return chance.Rounds() }

// without returns rules without what depends on the file they came from.
func without(rules []Rule) []Rule {
	out := slices.Clone(rules)
	for i := range out {
		out[i].Line = 0
	}
	return out
}

func TestParseReadsWhatTOMLPrints(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s := d.set()
		text := s.TOML()
		again, err := Parse("printed", text)
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, text)
		}
		if len(s.rules) > 0 && !reflect.DeepEqual(without(s.rules), without(again.rules)) {
			t.Fatalf("rules\n%+v\ncame back as\n%+v\nfrom\n%s", s.rules, again.rules, text)
		}
		if string(again.TOML()) != string(text) {
			t.Fatalf("printed anew\n%s\ndiffers from\n%s", again.TOML(), text)
		}
		if changes := Diff(s, again); len(changes) != 0 {
			t.Fatalf("Diff of equal sets: %+v", changes)
		}
	}
}

// Rules that demand the same share memory. What each gets from it is what it demands alone, and only what is equal has
// one number.
func TestASharedEffectIsTheRulesOwn(t *testing.T) {
	d := roll(t)
	for range rounds() / 4 {
		var rules []Rule
		for i := range 6 {
			r := d.rule(fmt.Sprintf("rule %d", i))
			if i > 0 && d.IntN(2) == 0 {
				r.ForceTLS = rules[i-1].ForceTLS
			}
			rules = append(rules, r)
		}
		s := smallSet(rules)
		known := map[int32]string{}
		for i := range s.live {
			for as := unforced; as < roles; as++ {
				e, want := s.live[i].effect(as), s.live[i].requirement(as)
				if !reflect.DeepEqual(e.requirement, want) {
					t.Fatalf("%+v, want %+v", e.requirement, want)
				}
				if key, ok := known[e.number]; ok && key != want.Key() {
					t.Fatalf("%s and %s have one number", key, want.Key())
				}
				known[e.number] = want.Key()
			}
		}
	}
}

func TestTheOrderOfRulesDecidesNothing(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s, f := d.set(), d.facts()
		shuffled := slices.Clone(s.rules)
		d.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got, want := smallSet(shuffled).Evaluate(f), s.Evaluate(f)
		for i := range got.Recipients {
			a, b := got.Recipients[i], want.Recipients[i]
			a.Effects, b.Effects = nil, nil // for these it decides
			for _, names := range [][]string{a.Rules, b.Rules, a.Tested, b.Tested} {
				slices.Sort(names)
			}
			for _, demands := range [][]policy.Demand{a.Demands, b.Demands} {
				slices.SortFunc(demands, func(x, y policy.Demand) int { return strings.Compare(x.Source, y.Source) })
			}
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("%+v\nand\n%+v\nfor\n%s", a, b, s.TOML())
			}
		}
	}
}

func TestAnotherRuleNeverLowersARequirement(t *testing.T) {
	d := roll(t)
	raised := 0
	for range rounds() {
		s, f := d.set(), d.facts()
		more := smallSet(append(slices.Clone(s.rules), d.rule("one more")))
		before, after := s.Evaluate(f), more.Evaluate(f)
		for i, b := range before.Recipients {
			a := after.Recipients[i]
			if !a.Requirement.AtLeast(b.Requirement) {
				t.Fatalf("%s\nbecame\n%s\nby\n%s", b.Requirement.Key(), a.Requirement.Key(), more.rules[len(more.rules)-1].TOML())
			}
			if b.Window > 0 && (a.Window == 0 || a.Window > b.Window) {
				t.Fatalf("the window grew from %v to %v", b.Window, a.Window)
			}
			if !b.Requirement.AtLeast(a.Requirement) {
				raised++
			}
		}
	}
	if raised < rounds()/50 {
		t.Errorf("only %d requirements were raised: the law was hardly tried", raised)
	}
}

func TestARuleUnderTestChangesNothing(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s, f := d.set(), d.facts()
		var enforced []Rule
		live := slices.Clone(s.rules)
		for i, r := range s.rules {
			if r.Mode == Enforce {
				enforced = append(enforced, r)
			}
			live[i].Mode = Enforce
		}
		got := s.Evaluate(f).Recipients
		want := smallSet(enforced).Evaluate(f).Recipients
		would := smallSet(live).Evaluate(f).Recipients
		for i, o := range got {
			if len(o.Tested) > 0 && !reflect.DeepEqual(o.TestedRequirement, would[i].Requirement) {
				t.Fatalf("under test %+v, in force it is %+v", o.TestedRequirement, would[i].Requirement)
			}
			o.Tested, o.TestedRequirement = nil, policy.Requirement{}
			o.Effects = slices.DeleteFunc(slices.Clone(o.Effects), func(e policy.Effect) bool { return e.Test })
			if len(o.Effects) == 0 {
				o.Effects = nil
			}
			if !reflect.DeepEqual(o, want[i]) {
				t.Fatalf("got %+v, without the rules under test %+v", o, want[i])
			}
		}
	}
}

func TestExplainNamesTheRulesThatDecide(t *testing.T) {
	d := roll(t)
	for range rounds() {
		s, f := d.set(), d.facts()
		e, decision := s.Explain(f), s.Evaluate(f)
		if len(e.Rules) != len(s.rules) || len(e.Recipients) != len(f.Recipients) {
			t.Fatal("Explain left something out")
		}
		for i, o := range decision.Recipients {
			r := e.Recipients[i]
			if !reflect.DeepEqual(r.Outcome, o) {
				t.Fatalf("explained %+v, decided %+v", r.Outcome, o)
			}
			var by []string
			for _, p := range r.Parts {
				if !p.Test {
					by = append(by, p.Rules...)
				}
			}
			slices.Sort(by)
			for _, name := range o.Rules {
				if _, found := slices.BinarySearch(by, name); !found {
					t.Fatalf("%q shaped the requirement and stands in no part: %+v", name, r.Parts)
				}
			}
			for _, name := range by {
				if !slices.Contains(o.Rules, name) {
					t.Fatalf("%q stands in a part and shaped nothing: %+v", name, r.Parts)
				}
			}
		}
		for i, r := range e.Rules {
			all := r.Skipped == ""
			for _, field := range r.Fields {
				all = all && field.Matched
				if field.Why == "" {
					t.Fatalf("no reason for %s", field.Field)
				}
			}
			if all != r.Matched {
				t.Fatalf("fields of %q say %v, the rule %v: %+v\n%s", r.Rule, all, r.Matched, r.Fields, s.rules[i].TOML())
			}
		}
	}
}

func TestAChangeThatIsNotMarkedWeakerIsNotWeaker(t *testing.T) {
	d := roll(t)
	marked, weaker := 0, 0
	for range 4 * rounds() {
		before := d.rule("the rule")
		before.Scope, before.Mode = Outbound, Enforce
		after := d.change(before)
		old, new := smallSet([]Rule{before}), smallSet([]Rule{after})
		changes := Diff(old, new)
		f := d.facts()
		f.Now = pick(d, now, now, now.AddDate(0, 1, 0), now.AddDate(1, 0, 0))
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
	if weaker < rounds()/50 || marked == 4*rounds() {
		t.Errorf("%d weaker, %d marked of %d: the law was hardly tried", weaker, marked, 4*rounds())
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
			return d.Trust == want.Trust && !namesWeaker(&Rule{ForceTLS: ForceTLS{Names: want.Names}}, &Rule{ForceTLS: ForceTLS{Names: d.Names}}) &&
				!wider(want.Pins, d.Pins)
		}) {
			return false
		}
	}
	return true
}

// change alters one or two keys of a rule.
func (d dice) change(r Rule) Rule {
	other := d.rule(r.Name)
	for range 1 + d.IntN(2) {
		switch d.IntN(19) {
		case 0:
			r.Scope = other.Scope
		case 1:
			r.Mode = other.Mode
		case 2:
			r.Expires = other.Expires
		case 3:
			r.Match.Sender = append(slices.Clone(r.Match.Sender), other.Match.Sender...)
		case 4:
			r.Match.Recipient = append(slices.Clone(r.Match.Recipient), other.Match.Recipient...)
		case 5:
			r.Match.Sender, r.Match.Recipient = other.Match.Sender, other.Match.Recipient
		case 6:
			r.Match.SenderIP, r.Match.Case = other.Match.SenderIP, other.Match.Case
		case 7:
			r.Match.Header, r.Match.Subject = other.Match.Header, other.Match.Subject
			r.Match.Attachment, r.Match.Body = other.Match.Attachment, other.Match.Body
		case 8:
			r.Match.SizeOver, r.Match.RecipientsOver = other.Match.SizeOver, other.Match.RecipientsOver
		case 9:
			r.ForceTLS.Unspecified = other.ForceTLS.Unspecified
		case 10:
			r.ForceTLS.Names = other.ForceTLS.Names
		case 11:
			r.ForceTLS.Trust, r.ForceTLS.Pins = other.ForceTLS.Trust, other.ForceTLS.Pins
		case 12:
			r.ForceTLS.MinTLS = other.ForceTLS.MinTLS
		case 17:
			r.ForceTLS.KeyExchange, r.ForceTLS.MinBits = other.ForceTLS.KeyExchange, other.ForceTLS.MinBits
		case 13:
			r.ForceTLS.Revocation = other.ForceTLS.Revocation
		case 14:
			r.Domain = other.Domain
		case 15:
			r.Below = other.Below
		case 16:
			r.Unless = d.exception()
		default:
			r.ForceTLS.Defer, r.ForceTLS.WithoutTLS = other.ForceTLS.Defer, other.ForceTLS.WithoutTLS
		}
	}
	return r
}
