package admin

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/history/traffic"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

func rule(name, to, more string) string {
	return "[[rule]]\nname = \"" + name + "\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"" + to + "\"]\n" + more
}

func TestAPreviewSaysWhatWouldHaveBecomeOfPastMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands before everything in the backlog
		s, _, _ := service(t)
		d := s.For(everywhere(access.Administrator))
		look := func(edit RuleEdit) Preview {
			t.Helper()
			p, err := d.Preview(t.Context(), edit, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		for _, c := range []struct {
			what, rule string
			to         string // of the only row
			outcome    PreviewOutcome
			reason     policy.Reason
		}{
			{"no mail of that kind", rule("x", "nobody.test", ""), "", "", ""},
			{"what was authenticated", rule("x", "good.test", "[rule.force_tls]\nmx = \"any\"\nrevocation = \"off\"\n"), "p@good.test", AsNow, ""},
			{"with revocation, which nobody asked", rule("x", "good.test", "[rule.force_tls]\nmx = \"any\"\n"), "p@good.test", NotKnown, ""},
			{"with names that are remembered", rule("x", "good.test", "[rule.force_tls]\nrevocation = \"off\"\n"), "p@good.test", NotKnown, ""},
			{"with a pin", rule("x", "good.test", "[rule.force_tls]\nmx = \"any\"\npins = [\"sha256:"+
				"0000000000000000000000000000000000000000000000000000000000000000\"]\n"), "p@good.test", NotKnown, ""},
			{"of another name", rule("x", "good.test", "[rule.force_tls]\nmx = \"any\"\nnames = [\"mail.else.test\"]\n"), "p@good.test", WouldWait, policy.CertNameMismatch},
			{"by a private CA", rule("x", "good.test", "[rule.force_tls]\nmx = \"any\"\ntrust = \"/ca.pem\"\n"), "p@good.test", NotKnown, ""},
			{"that must be proven", rule("x", "good.test", "[rule.force_tls]\nmx = \"proven\"\n"), "p@good.test", NotKnown, ""},
			{"a plain server", rule("x", "x@plain.test", "[rule.force_tls]\nunspecified_recipients = \"opportunistic\"\n"), "x@plain.test", WouldWait, policy.StartTLSNotOffered},
			{"a plain server, to be refused", rule("x", "x@plain.test", "[rule.force_tls]\nunspecified_recipients = \"opportunistic\"\nwithout_tls = \"reject\"\n"), "x@plain.test", WouldReturn, policy.StartTLSNotOffered},
			{"what failed all the same", rule("x", "gone@plain.test", ""), "gone@plain.test", AsNow, ""},
		} {
			p := look(RuleEdit{Rule: c.rule})
			if !p.Complete || p.Deliveries < 6 {
				t.Errorf("%s: looked at %+v", c.what, p)
			}
			if c.to == "" {
				if len(p.Rows) != 0 {
					t.Errorf("%s: %+v", c.what, p.Rows)
				}
				continue
			}
			if len(p.Rows) != 1 || p.Rows[0].To != c.to || p.Rows[0].Outcome != c.outcome || p.Rows[0].Reason != c.reason || p.Changed[c.outcome] != 1 ||
				p.Rows[0].After != "authenticated" || !slices.Equal(p.Rows[0].Rules, []string{"x"}) {
				t.Errorf("%s: %+v, %v", c.what, p.Rows, p.Changed)
			}
		}
		if p := look(RuleEdit{Rule: rule("x", "good.test", "") + "subject = [\"*x*\"]\n"}); !slices.Equal(p.Blind, []string{"match.subject"}) || len(p.Rows) != 0 {
			t.Errorf("a subject: %+v", p)
		}
	})
}

// Of a message with a named and an unnamed recipient, the box decides about the unnamed one.
func TestAPreviewKnowsTheBox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := service(t)
		d := s.For(everywhere(access.Administrator))
		for box, rows := range map[string]int{"force": 2, "opportunistic": 1} {
			p, err := d.Preview(t.Context(), RuleEdit{Rule: rule("x", "dr@clinic.test", "[rule.force_tls]\nunspecified_recipients = \""+box+"\"\n")}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			authenticated := 0
			for _, r := range p.Rows {
				if r.After == "authenticated" {
					authenticated++
				}
			}
			if authenticated != rows {
				t.Errorf("box %s: %+v", box, p.Rows)
			}
		}
	})
}

func TestWhoMayPreview(t *testing.T) {
	s, _, _ := service(t)
	edit := RuleEdit{Rule: rule("x", "good.test", "")}
	if _, err := s.For(everywhere(access.Auditor)).Preview(t.Context(), edit, time.Second); err != nil {
		t.Errorf("an auditor: %v", err)
	}
	_, err := s.For(within(access.Administrator, "clinic.test")).Preview(t.Context(), edit, time.Second)
	refused(t, "a rule beyond the scope", err, ErrForbidden)
	_, err = s.For(everywhere(access.Administrator)).Preview(t.Context(), RuleEdit{Name: "none", Rule: edit.Rule}, time.Second)
	refused(t, "a rule that is none", err, ErrNotFound)
	if _, err := s.For(everywhere(access.Administrator)).Preview(t.Context(), RuleEdit{Rule: "[[rule]]\n"}, time.Second); err == nil {
		t.Error("a broken rule is previewed")
	} else if _, ok := err.(*rules.ParseError); !ok {
		t.Errorf("a broken rule: %v", err)
	}
}

// What an encrypted connection fell short of is why it would have waited.
func TestARecordedShortfallIsTheReason(t *testing.T) {
	used := attempt.Try{Host: "mx.shop.test", Used: true, Reached: policy.Encrypted, Evidence: &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.2"}},
		Shortfalls: []policy.Shortfall{{Reason: policy.CertSelfSigned, Text: "it signed itself"}}}
	r := &queue.Record{Delivery: queue.Delivery{State: queue.Delivered, History: []attempt.Attempt{{Tries: []attempt.Try{used}}}}}
	if o, reason, text := wouldBecome(r, backlog.Forced()); o != WouldWait || reason != policy.CertSelfSigned || text == "" {
		t.Errorf("%s %s %q", o, reason, text)
	}
	r.History[0].Tries[0].Shortfalls = nil
	if o, _, _ := wouldBecome(r, backlog.Forced()); o != NotKnown {
		t.Errorf("without a shortfall: %s", o)
	}
	high := policy.Requirement{Channel: policy.Encrypted, MinTLS: 0x0304}
	if o, reason, _ := wouldBecome(r, high); o != WouldWait || reason != policy.TLSVersion {
		t.Errorf("%s %s", o, reason)
	}
	if o, _, _ := wouldBecome(r, policy.Requirement{Channel: policy.Encrypted}); o != AsNow {
		t.Errorf("%s", o)
	}
}

// The cases in which a judgement by other means than policy.Verdict went wrong.
func TestAPreviewNeverKnowsBetterThanTheGateway(t *testing.T) {
	clinic := mail.Recipient{Address: mail.MustAddress("dr@clinic.test")}
	past := func(change func(*attempt.Try, *policy.Requirement)) *queue.Record {
		try := attempt.Try{Host: "mx.clinic.test", Used: true, Reached: policy.Authenticated,
			Evidence: &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.3"}, Revocation: policy.NotRevoked, Presented: []string{"clinic.test", "mx.clinic.test"},
				Chain: []policy.Certificate{{SPKI: strings.Repeat("aa", 32)}}}}
		demanded := policy.Requirement{}
		if change != nil {
			change(&try, &demanded)
		}
		return &queue.Record{Delivery: queue.Delivery{Recipient: clinic, Requirement: demanded, State: queue.Delivered, History: []attempt.Attempt{{Tries: []attempt.Try{try}}}}}
	}
	demand := func(text string) policy.Requirement {
		s, err := rules.Parse("r", []byte(rule("x", "clinic.test", "[rule.force_tls]\n"+text)))
		if err != nil {
			t.Fatal(err)
		}
		return s.Evaluate(&rules.Facts{Recipients: []mail.Address{clinic.Address}}).Recipients[0].Requirement
	}
	pin := func(digit string) string { return "pins = [\"sha256:" + strings.Repeat(digit, 64) + "\"]\n" }
	for _, c := range []struct {
		what   string
		past   *queue.Record
		asked  policy.Requirement
		want   PreviewOutcome
		reason policy.Reason
	}{
		{"names that are remembered, another host", past(nil), demand(""), NotKnown, ""},
		{"names that must be proven", past(nil), demand("mx = \"proven\"\n"), NotKnown, ""},
		{"a proven name", past(func(y *attempt.Try, _ *policy.Requirement) { y.Evidence.MXProven = true }), demand("mx = \"proven\"\n"), AsNow, ""},
		{"a staple that was promised, nobody asked", past(func(y *attempt.Try, _ *policy.Requirement) { y.Evidence.Revocation = "" }), demand("mx = \"any\"\n"), NotKnown, ""},
		{"a staple that was promised and did not come", past(func(y *attempt.Try, _ *policy.Requirement) {
			y.Evidence.Revocation, y.Evidence.Unstapled = "unknown", true
		}), demand("mx = \"any\"\n"), WouldWait, policy.RevocationUnknown},
		{"revoked", past(func(y *attempt.Try, _ *policy.Requirement) { y.Evidence.Revocation = policy.Revoked }), demand(""), WouldWait, policy.CertRevoked},
		{"the domain's own name, and mx that does not matter", past(nil), demand("mx = \"proven\"\nnames = \"domain\"\n"), AsNow, ""},
		{"the domain's own name among more names than are kept", past(func(y *attempt.Try, _ *policy.Requirement) {
			y.Evidence.Presented = strings.Fields(strings.Repeat("other.test ", 20))
		}), demand("mx = \"proven\"\nnames = \"domain\"\n"), NotKnown, ""},
		{"another name than the certificate has", past(nil), demand("mx = \"any\"\nnames = [\"mx.else.test\"]\n"), WouldWait, policy.CertNameMismatch},
		{"a pin on a root that the peer does not send", past(nil), demand("mx = \"any\"\n" + pin("b")), NotKnown, ""},
		{"a pin among what the peer sent", past(nil), demand("mx = \"any\"\n" + pin("a")), NotKnown, ""},
		{"a pin that was demanded then", past(func(_ *attempt.Try, r *policy.Requirement) { *r = demand("mx = \"any\"\n" + pin("b")) }), demand("mx = \"any\"\n" + pin("b")), AsNow, ""},
		{"encrypted without a floor over TLS 1.1", past(func(y *attempt.Try, _ *policy.Requirement) { y.Evidence.TLS.Version = "TLSv1.1" }),
			policy.Requirement{Channel: policy.Encrypted}, AsNow, ""},
		{"authenticated over TLS 1.1", past(func(y *attempt.Try, _ *policy.Requirement) { y.Evidence.TLS.Version = "TLSv1.1" }), demand(""), WouldWait, policy.TLSVersion},
		{"a version nobody knows", past(func(y *attempt.Try, _ *policy.Requirement) { y.Evidence.TLS.Version = "TLSv9" }), demand(""), NotKnown, ""},
		{"self-signed, and another CA wanted", past(func(y *attempt.Try, _ *policy.Requirement) {
			y.Reached, y.Shortfalls = policy.Encrypted, []policy.Shortfall{{Reason: policy.CertSelfSigned, Text: "it signed itself"}}
		}), demand("mx = \"any\"\ntrust = \"/ca.pem\"\n"), NotKnown, ""},
		{"fell short of a private CA, public trust wanted", past(func(y *attempt.Try, r *policy.Requirement) {
			*r = demand("mx = \"any\"\ntrust = \"/ca.pem\"\n")
			y.Reached, y.Shortfalls = policy.Encrypted, []policy.Shortfall{{Reason: policy.CertUntrusted, Text: "no such root"}}
		}), demand("mx = \"any\"\n"), NotKnown, ""},
		{"fell short of a proven name alone", past(func(y *attempt.Try, _ *policy.Requirement) {
			y.Reached, y.Shortfalls = policy.Encrypted, []policy.Shortfall{{Reason: policy.MXUnproven, Text: "unsigned"}}
		}), demand("mx = \"any\"\n"), NotKnown, ""},
	} {
		if o, reason, text := wouldBecome(c.past, c.asked); o != c.want || reason != c.reason || (o == AsNow) != (text == "") {
			t.Errorf("%s: %s %s %q, want %s %s", c.what, o, reason, text, c.want, c.reason)
		}
	}
}

func TestSuggestionsAreDomainsThatCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store, _ := service(t)
		s.cfg.Traffic = traffic.NewBook(store)
		add := func(domain, level, outcome string, n int64, daysAgo int) {
			t.Helper()
			at := traffic.Bucket(traffic.OfDomain, time.Now().AddDate(0, 0, -daysAgo))
			if err := traffic.NewBook(store).AddTraffic(t.Context(), []traffic.Sum{{At: at, Kind: traffic.OfDomain, Name: domain, Level: level, Outcome: outcome, Count: n}}); err != nil {
				t.Fatal(err)
			}
		}
		add("always.test", "authenticated", "delivered", 40, 3)
		add("nearly.test", "authenticated", "delivered", 199, 3)
		add("nearly.test", "encrypted", "delivered", 1, 20)
		add("often.test", "authenticated", "delivered", 100, 3)
		add("often.test", "plaintext", "delivered", 5, 3)
		add("seldom.test", "authenticated", "delivered", 5, 3)
		add("once.test", "authenticated", "delivered", 100, 3)
		add("once.test", "plaintext", "delivered", 100, 40)
		add("ruled.test", "authenticated", "delivered", 100, 3)
		d := s.For(everywhere(access.Administrator))
		if _, err := s.ApplyRules(t.Context(), ApplyRequest{By: "root", Text: rule("r", "ruled.test", "")}); err != nil {
			t.Fatal(err)
		}
		got, err := d.Suggestions(t.Context())
		want := []Suggestion{{"nearly.test", 200, 1}, {"once.test", 100, 0}, {"always.test", 40, 0}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		_, err = s.For(within(access.Administrator, "always.test")).Suggestions(t.Context())
		refused(t, "a scope", err, ErrForbidden)
	})
}

func TestAScopeSeesTheSumsOfItsOwn(t *testing.T) {
	s, store, _ := service(t)
	s.cfg.Traffic = traffic.NewBook(store)
	at := traffic.Bucket(traffic.OfDomain, backlog.Noon)
	for _, sum := range []traffic.Sum{{Kind: traffic.OfLeg, Name: string(event.OutWorld)}, {Kind: traffic.OfDomain, Name: "clinic.test"}, {Kind: traffic.OfDomain, Name: "other.test"},
		{Kind: traffic.OfRule, Name: "clinic"}} {
		sum.At, sum.Level, sum.Outcome, sum.Count = at, "encrypted", "delivered", 1
		if err := traffic.NewBook(store).AddTraffic(t.Context(), []traffic.Sum{sum}); err != nil {
			t.Fatal(err)
		}
	}
	narrow, wide := s.For(within(access.Auditor, "clinic.test")), s.For(everywhere(access.Auditor))
	count := func(d *Desk, kind traffic.Kind) int {
		t.Helper()
		list, err := d.Traffic(t.Context(), traffic.Query{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	_, err := narrow.Traffic(t.Context(), traffic.Query{Kind: traffic.OfLeg})
	refused(t, "legs", err, ErrForbidden)
	if count(narrow, traffic.OfDomain) != 1 || count(narrow, traffic.OfRule) != 0 || count(wide, traffic.OfDomain) != 2 || count(wide, traffic.OfRule) != 1 || count(wide, traffic.OfLeg) != 1 {
		t.Error("a scope sees more or less than its own")
	}
}
