package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/internal/lab/testkit/ruledice"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulevalue"
)

// mixed is a set of rules of all actions.
func (d dice) mixed() []rule.Rule {
	var out []rule.Rule
	for i := range 2 + d.IntN(8) {
		r := d.Rule(fmt.Sprintf("rule %d", i))
		r.Scope, r.Expires = rule.Outbound, rulevalue.Expiry{}
		if d.IntN(2) == 0 { // most messages meet most rules
			r.Match = rule.Match{Recipient: ruledice.Pick(d.Dice, nil, []string{"*.test", "a.test"}, []string{"ann@*"})}
		}
		if d.IntN(3) > 0 {
			r = d.Effect(r)
		}
		out = append(out, r)
	}
	return out
}

// TestNoActionAndNoOrderLowersAForceTLS: what the force-tls rules of a set demand alone is what is demanded with any
// other rules beside them, in any order.
func TestNoActionAndNoOrderLowersAForceTLS(t *testing.T) {
	d := roll(t)
	forced, done := 0, 0
	n := 10_000
	if testing.Short() {
		n = 500
	}
	for range n {
		list, f := d.mixed(), d.Facts()
		var demand []rule.Rule
		for _, r := range list {
			if r.Demands() {
				demand = append(demand, r)
			}
		}
		want := compile(demand).Evaluate(f).Recipients
		d.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		s := compile(list)
		for i, o := range s.Evaluate(f).Recipients {
			w := want[i]
			if o.Requirement.Key() != w.Requirement.Key() || o.Window != w.Window || o.Matched != w.Matched || len(o.Rules) != len(w.Rules) ||
				o.TestedRequirement.Key() != w.TestedRequirement.Key() {
				t.Fatalf("with other actions %+v, alone %+v\n%s", o, w, s.TOML())
			}
			if f.Local[i] && len(o.Effects) > 0 {
				t.Fatalf("effects on a recipient of ours: %+v", o.Effects)
			}
			if o.Requirement.Forced() && len(o.Effects) > 0 {
				forced++
			}
			done += len(o.Effects)
			checkEffects(t, s, o.Effects)
		}
	}
	if forced < n/50 || done < n {
		t.Errorf("%d forced recipients with effects, %d effects: the law was hardly tried", forced, done)
	}
}

// checkEffects holds the effects on a recipient against the states in effects.go.
func checkEffects(t *testing.T, s *Set, es policy.Effects) {
	t.Helper()
	place := func(e policy.Effect) int {
		return slices.IndexFunc(s.rules, func(r rule.Rule) bool { return r.Name == e.Rule })
	}
	over, held, sent, fields := false, false, false, 0
	ordered := map[policy.EffectKind]bool{}
	copies := map[string]bool{}
	for i, e := range es {
		r := &s.rules[place(e)]
		switch {
		case i > 0 && (place(es[i-1]) > place(e) || place(es[i-1]) == place(e) && !e.Later()):
			t.Fatalf("out of the order of the file: %+v", es)
		case e.Later() != r.Demands():
			t.Fatalf("%+v of the action %s", e, r.Action)
		case e.Later() && !e.Test && ordered[e.Kind]:
			t.Fatalf("ordered twice: %+v", es)
		case over && !e.Later():
			t.Fatalf("an effect after the end: %+v", es)
		case e.Test != (r.Mode == rule.Test):
			t.Fatalf("%+v of a rule of mode %s", e, r.Mode)
		case held && (e.Kind == policy.EffectHold || e.Kind == policy.EffectReject), sent && e.Kind == policy.EffectRedirect:
			t.Fatalf("done twice: %+v", es)
		}
		if e.Test {
			continue
		}
		ordered[e.Kind] = true
		over = over || e.Kind == policy.EffectReject || e.Kind == policy.EffectAllow
		held, sent = held || e.Kind == policy.EffectHold, sent || e.Kind == policy.EffectRedirect
		for _, a := range e.To {
			if copies[strings.ToLower(a)] {
				t.Fatalf("two copies: %+v", es)
			}
			copies[strings.ToLower(a)] = true
		}
		fields += len(e.Fields)
	}
	if fields > rulevalue.MaxFields || len(copies) > MaxCopies || len(es) > MaxEffects {
		t.Fatalf("%d fields, %d copies, %d effects", fields, len(copies), len(es))
	}
}

// TestWhatRulesDo tells of situations.
func TestWhatRulesDo(t *testing.T) {
	const (
		force     = "[[rule]]\nname = \"force\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"clinic.test\"]\n"
		reject    = "[[rule]]\nname = \"reject\"\naction = \"reject\"\n[rule.match]\nrecipient = [\"clinic.test\"]\n[rule.reject]\ntext = \"use the portal\"\n"
		hold      = "[[rule]]\nname = \"hold\"\naction = \"hold\"\n[rule.match]\nsubject = [\"*offer*\"]\n"
		portal    = "[[rule]]\nname = \"portal\"\naction = \"redirect\"\n[rule.redirect]\nroute = \"portal\"\n"
		bcc       = "[[rule]]\nname = \"archive\"\naction = \"bcc\"\n[rule.bcc]\nto = [\"archive@example.com\"]\n"
		add       = "[[rule]]\nname = \"mark\"\naction = \"add-header\"\n[rule.add_header]\nfields = [{ name = \"X-Class\", value = \"a b\" }]\n"
		allow     = "[[rule]]\nname = \"boss\"\naction = \"allow\"\n[rule.match]\nsender = [\"boss@example.com\"]\n"
		receipt   = "[[rule]]\nname = \"receipt\"\nreceipt = \"sender\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"clinic.test\"]\n"
		otherwise = "[[rule]]\nname = \"otherwise\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"clinic.test\"]\n" +
			"[rule.force_tls]\notherwise = [\"route:portal\", \"bounce\"]\n"
	)
	again := strings.Replace(receipt, "\"receipt\"", "\"again\"", 1)
	trial := func(rule string) string { return strings.Replace(rule, "action", "mode = \"test\"\naction", 1) }
	for _, tt := range []struct {
		name, rules, from string
		clinic, other     string // effects; "*" is forced
	}{
		{"one of two recipients is rejected", reject + add, "ann@example.com", "reject", "mark"},
		{"Force TLS stays where mail is rejected and redirected", portal + force, "ann@example.com", "* portal", "* portal"},
		{"allow stops what follows, not what came", add + allow + bcc + force, "boss@example.com", "* mark boss", "* mark boss"},
		{"the first receipt counts, and neither allow nor hold stops it", allow + hold + receipt + again, "boss@example.com",
			"* boss receipt", "* boss"},
		{"the first otherwise counts", otherwise + strings.ReplaceAll(otherwise, "otherwise\"", "other\""), "ann@example.com", "* otherwise", "* otherwise"},
		{"a box that is ticked leaves the others alone", otherwise + "unspecified_recipients = \"opportunistic\"\n", "ann@example.com", "* otherwise", ""},
		{"a receipt under test is recorded beside another", trial(receipt) + again, "ann@example.com", "* receipt? again", "*"},
		{"allow is for its sender", allow + bcc, "ann@example.com", "archive", "archive"},
		{"held mail is archived, marked and redirected", hold + bcc + add + portal, "ann@example.com", "hold archive mark portal", "hold archive mark portal"},
		{"the first of hold and reject decides", hold + reject, "ann@example.com", "hold", "hold"},
		{"and the other way round", reject + hold, "ann@example.com", "reject", "hold"},
		{"a rule under test stops nothing", trial(allow) + trial(reject) + bcc, "boss@example.com", "boss? reject? archive", "boss? archive"},
		{"a hold under test does not keep from another", trial(hold) + reject, "ann@example.com", "hold? reject", "hold?"},
		{"what comes after the end is not even recorded", allow + trial(reject), "boss@example.com", "boss", "boss"},
	} {
		f := facts(header("Subject: our offer"))
		f.From = mail.MustAddress(tt.from)
		f.Recipients = []mail.Address{mail.MustAddress("dr@clinic.test"), mail.MustAddress("bob@other.test"), mail.MustAddress("us@example.com")}
		f.Local = []bool{false, false, true}
		s := mustParse(t, tt.rules)
		got := s.Evaluate(f).Recipients
		for i, want := range []string{tt.clinic, tt.other, ""} {
			var said []string
			if got[i].Requirement.Forced() {
				said = append(said, "*")
			}
			for _, e := range got[i].Effects {
				said = append(said, e.Rule+map[bool]string{true: "?"}[e.Test])
			}
			if text := strings.Join(said, " "); text != want {
				t.Errorf("%s: %s has %q, want %q", tt.name, f.Recipients[i], text, want)
			}
		}
		for i, r := range s.Explain(f).Recipients {
			done := slices.DeleteFunc(slices.Clone(r.Does), func(s Step) bool { return s.Not != "" })
			if !reflect.DeepEqual(r.Effects, got[i].Effects) || len(done) != len(r.Effects) {
				t.Errorf("%s: explained %+v", tt.name, r)
			}
		}
	}
}

func TestExplainSaysWhyARuleDoesNothing(t *testing.T) {
	s := mustParse(t, "[[rule]]\nname = \"boss\"\naction = \"allow\"\n[[rule]]\nname = \"no\"\naction = \"reject\"\n")
	does := s.Explain(facts()).Recipients[0].Does
	want := []Step{{Rule: "boss", Does: "allow: what later rules do is not done, what they demand is demanded"},
		{Rule: "no", Does: "reject: " + rule.DefaultText, Not: "the rule boss comes before it"}}
	if !reflect.DeepEqual(does, want) {
		t.Errorf("%+v", does)
	}
}

// TestNothingIsDroppedForWhatIsOnlyRecorded: the bounds leave room for all that rules in force can do.
func TestNothingIsDroppedForWhatIsOnlyRecorded(t *testing.T) {
	var list []rule.Rule
	for i := range 400 {
		r := rule.Default()
		r.Name = fmt.Sprint("r", i)
		switch {
		case i < 300:
			r.Action, r.Mode = rule.AllowAction, rule.Test
		case i < 330:
			r.Action, r.BCC.To = rule.BCCAction, []string{fmt.Sprintf("a%d@c.test", i)}
		case i < 360:
			r.Action, r.AddHeader.Fields = rule.AddHeaderAction, []rulevalue.HeaderMatch{{Name: "X-A", Value: "b"}}
		default:
			r.Action = rule.RejectAction
		}
		list = append(list, r)
	}
	es := compile(list).Evaluate(facts()).Recipients[0].Effects
	count := map[policy.EffectKind]int{}
	for _, e := range es {
		count[e.Kind]++
	}
	want := map[policy.EffectKind]int{policy.EffectAllow: MaxTested, policy.EffectBCC: MaxCopies, policy.EffectAddHeader: rulevalue.MaxFields, policy.EffectReject: 1}
	if !reflect.DeepEqual(count, want) {
		t.Errorf("%v", count)
	}
}

func TestSettingsOfEffectsThatAreRefused(t *testing.T) {
	action := func(name, section string) string {
		return "[[rule]]\nname = \"x\"\naction = \"" + name + "\"\n" + section
	}
	add := func(name, value string) string {
		return action("add-header", fmt.Sprintf("[rule.add_header]\nfields = [{ name = %q, value = %q }]\n", name, value))
	}
	for _, tt := range []struct{ text, why string }{
		{action("reject", "[rule.reject]\ntext = \"a\\r\\n250 ok\"\n"), "what a reply cannot carry"},
		{action("reject", "[rule.reject]\ntext = \"Grüße\"\n"), "what a reply cannot carry"},
		{action("reject", "[rule.reject]\ntext = \""+strings.Repeat("a", 201)+"\"\n"), "too long"},
		{action("reject", "[rule.hold]\ndays = 7\n"), "belongs to the action hold"},
		{action("hold", "[rule.hold]\ndays = 0\n"), "days"},
		{action("hold", "[rule.hold]\nthen = \"send\"\n"), "then"},
		{action("redirect", ""), "no route in [rule.redirect]"},
		{action("redirect", "[rule.redirect]\nroute = \"10.0.0.1:25,x\"\n"), "no name of a route"},
		{action("bcc", "[rule.bcc]\n"), "no to in [rule.bcc]"},
		{action("bcc", "[rule.bcc]\nto = [\"*@example.com\"]\n"), "no address"},
		{action("bcc", "[rule.bcc]\nto = [\"<>\"]\n"), "no address"},
		{add("X-A: b\r\nTo", "c"), "no name of a header field"},
		{add("X-A", "b\r\nBcc: c@d.test"), "no line of a header"},
		{add("X-A", "b\n\nbody"), "no line of a header"},
		{add("X-A", "=?utf-8?q?=ZZ?="), "no line of a header"},
		{add("X-A", " b"), "no line of a header"},
		{add("received", "from x"), "the word of a server"},
		{add("DKIM-Signature", "v=1"), "the word of a server"},
		{add("Return-Path", "<>"), "the word of a server"},
		{add("Subject", "b"), "its writer's"},
		{add("Content-Type", "text/html"), "how the message is to be read"},
		{add("TLS-Required", "No"), "an order about TLS"},
	} {
		if _, err := Parse("x", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s\nis answered %v, want %q", tt.text, err, tt.why)
		}
	}
	mustParse(t, add("X-A", "=?utf-8?q?Gr=C3=BC=C3=9Fe?= (internal)"))
}

// TestAnEffectStandsAboveTheHeader: lines that end, and nothing of a rule under test.
func TestAnEffectStandsAboveTheHeader(t *testing.T) {
	es := policy.Effects{
		{Rule: "a", Kind: policy.EffectAddHeader, Fields: []policy.Field{{Name: "X-A", Value: "1"}, {Name: "X-B", Value: "2"}}},
		{Rule: "b", Kind: policy.EffectAddHeader, Test: true, Fields: []policy.Field{{Name: "X-C", Value: "3"}}},
	}
	if got := es.Head(); got != "X-A: 1\r\nX-B: 2\r\n" {
		t.Errorf("%q", got)
	}
}
