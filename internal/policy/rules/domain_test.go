package rules

import (
	"strings"
	"testing"

	"postern/internal/policy/authorship"
	"postern/internal/policy/rulematch"
)

func by(o authorship.Origin) func(*rulematch.Facts) { return func(f *rulematch.Facts) { f.Origin = o } }

// TestTheMailOfAWholeDomain: no spelling and no kind of sender of a domain's mail is missed, and what is other
// domains' is not taken.
func TestTheMailOfAWholeDomain(t *testing.T) {
	const rule1, above = "domain = ['example.com']\n", "domain = ['example.com']\nbelow = true\n"
	const idn = "domain = ['bücher.example']\n"
	for _, tt := range []struct {
		name, rule string
		facts      *rulematch.Facts
		want       bool
		why        string // part of the explanation
	}{
		{"the envelope sender", rule1, facts(from("ann@example.com")), true, "envelope sender ann@example.com"},
		{"capitals and a trailing dot", rule1, facts(from("Ann@EXAMPLE.Com.")), true, "envelope sender"},
		{"a quoted local part", rule1, facts(from(`"ann smith"@example.com`)), true, "envelope sender"},
		{"another domain", rule1, facts(from("ann@other.test"), header("From: ann@other.test")), false, "neither"},
		{"a domain that ends alike", rule1, facts(from("ann@notexample.com"), header("From: ann@notexample.com")), false, "neither"},
		{"a domain that begins alike", rule1, facts(from("ann@example.com.evil.test"), header("From: a@example.com.evil.test")), false, "neither"},
		{"a sub-domain", rule1, facts(from("ann@mail.example.com"), header("From: ann@mail.example.com")), false, "below = true would cover it"},
		{"a sub-domain with below", above, facts(from("ann@mail.example.com")), true, "envelope sender"},
		{"two labels below", above, facts(from("x@other.test"), header("From: ann@a.b.example.com")), true, "header from"},
		{"the domain itself with below", above, facts(from("ann@example.com")), true, "envelope sender"},
		{"an A-label for a U-label", idn, facts(from("ann@xn--bcher-kva.example")), true, "envelope sender"},
		{"a U-label in From", idn, facts(from("x@o.test"), header("From: Ann <ann@bücher.example>")), true, "header from"},
		{"capitals of a U-label, full-width dot", idn, facts(from("x@o.test"), header("From: ann@BÜCHER。example")), true, "header from"},
		{"a decomposed U-label", idn, facts(from("x@o.test"), header("From: ann@bu\u0308cher.example")), true, "header from"},
		{"a full-width at", rule1, facts(from("x@o.test"), header("From: ann＠example.com")), true, "header from"},

		{"From", rule1, facts(from("x@o.test"), header("From: Ann <ann@example.com>")), true, "header from"},
		{"From in capitals", rule1, facts(from("x@o.test"), header("FROM: Ann <ann@EXAMPLE.COM>")), true, "header from"},
		{"the second of two in From", rule1, facts(from("x@o.test"), header("From: Bob <bob@o.test>, Ann <ann@example.com>")), true, "header from"},
		{"a second From", rule1, facts(from("x@o.test"), header("From: bob@o.test", "From: ann@example.com")), true, "header from"},
		{"a group", rule1, facts(from("x@o.test"), header("From: The team: bob@o.test, ann@example.com;")), true, "header from"},
		{"an empty group", rule1, facts(from("x@o.test"), header("From: undisclosed:;")), false, "neither"},
		{"an address in the display name", rule1, facts(from("x@o.test"), header(`From: "ann@example.com" <x@o.test>`)), true, "header from"},
		{"another address in the display name", rule1, facts(from("x@o.test"), header(`From: "bob@o.test" <ann@example.com>`)), true, "header from"},
		{"via a list", rule1, facts(from("list-bounces@lists.test"), header(`From: "Ann via List" <list@lists.test>`, "X-Original-From: Ann <ann@example.com>")), true, "header x-original-from"},
		{"rewritten by IETF's lists", rule1, facts(from("l@lists.test"), header("From: Ann <ann=40example.com@dmarc.lists.test>")), true, "header from"},
		{"an encoded word", rule1, facts(from("x@o.test"), header("From: =?utf-8?q?=22ann=40example=2Ecom=22?= <x@o.test>")), true, "header from"},
		{"an encoded name before the address", rule1, facts(from("x@o.test"), header("From: =?utf-8?b?QW5uIE3DvGxsZXI=?= <ann@example.com>")), true, "header from"},
		{"an encoded word that nobody can read", rule1, facts(from("x@o.test"), header("From: =?x-none?q?ann?= <x@o.test>")), true, "unknown charset"},
		{"a comment", rule1, facts(from("x@o.test"), header("From: ann@(work)example.com")), true, "header from"},
		{"comments around the dot", rule1, facts(from("x@o.test"), header("From: ann@example(a\\)b).(c(d))com")), true, "header from"},
		{"blanks around at and dots", rule1, facts(from("x@o.test"), header("From: ann @ example . com")), true, "header from"},
		{"a folded field", rule1, facts(from("x@o.test"), header("From: Ann\r\n\t<ann@example.com>")), true, "header from"},
		{"a route", rule1, facts(from("x@o.test"), header("From: <@relay.test:ann@example.com>")), true, "header from"},
		{"a quoted local part in From", rule1, facts(from("x@o.test"), header(`From: "ann, smith"@example.com`)), true, "header from"},
		{"no domain at all", rule1, facts(from("x@o.test"), header("From: root")), true, "without a domain"},
		{"Sender", rule1, facts(from("x@o.test"), header("From: bob@o.test", "Sender: ann@example.com")), true, "header sender"},
		{"Resent-From", rule1, facts(from("x@o.test"), header("From: bob@o.test", "Resent-From: ann@example.com")), true, "header resent-from"},
		{"Reply-To alone", rule1, facts(from("x@o.test"), header("From: bob@o.test", "Reply-To: ann@example.com")), false, "neither"},
		{"To alone", rule1, facts(from("x@o.test"), header("From: bob@o.test", "To: ann@example.com")), false, "neither"},

		{"a null sender whose From says so", rule1, facts(from(""), header("From: MAILER-DAEMON@example.com (Mail System)")), true, "header from"},
		{"a null sender whose Return-Path says so", rule1, facts(from(""), header("Return-Path: <ann@example.com>", "From: x@o.test")), true, "header return-path"},
		{"a null sender of somebody bound", rule1, facts(from(""), header("From: x@o.test"), by(authorship.Origin{Senders: []string{"example.com"}})), true, "bound to example.com"},
		{"a null sender of somebody bound below", above, facts(from(""), header("From: x@o.test"), by(authorship.Origin{Senders: []string{"*.example.com"}})), true, "bound to *.example.com"},
		{"a null sender bound below, the domain alone", rule1, facts(from(""), header("From: x@o.test"), by(authorship.Origin{Senders: []string{"*.example.com"}})), false, "neither"},
		{"a null sender of a user", rule1, facts(from(""), header("From: x@o.test"), by(authorship.Origin{User: "ann@Example.com"})), true, "by the user ann@example.com"},
		{"a null sender of somebody bound elsewhere", rule1, facts(from(""), header("From: x@o.test"), by(authorship.Origin{Senders: []string{"o.test"}})), false, "neither"},
		{"a null sender of nobody known", rule1, facts(from(""), header("From: x@o.test")), false, "nothing binds whoever handed in the null sender"},
		{"a sender elsewhere of somebody bound", rule1, facts(from("x@o.test"), header("From: x@o.test"), by(authorship.Origin{Senders: []string{"example.com", "o.test"}})), false, "neither"},

		{"SRS0", rule1, facts(from("SRS0=OnZr=OR=example.com=ann@forward.test"), header("From: x@o.test")), true, "stands for example.com"},
		{"SRS0 with another separator", rule1, facts(from("SRS0+OnZr=OR=example.com=ann@forward.test"), header("From: x@o.test")), true, "stands for example.com"},
		{"SRS1", rule1, facts(from("SRS1=xxxx=first.test==OnZr=OR=example.com=ann@second.test"), header("From: x@o.test")), true, "stands for example.com"},
		{"SRS of somebody else", rule1, facts(from("SRS0=OnZr=OR=o.test=bob@forward.test"), header("From: bob@o.test")), false, "neither"},
		{"SRS that says nothing", rule1, facts(from("bounces+SRS=44ldt=IX@forward.test"), header("From: x@o.test")), true, "nobody can tell"},
		{"SRS in front of the own domain", rule1, facts(from("SRS0=OnZr=OR=o.test=bob@example.com"), header("From: x@o.test")), true, "envelope sender"},
		{"prvs", rule1, facts(from("prvs=0891a9abd5=ann@example.com")), true, "envelope sender"},
		{"prvs of another", rule1, facts(from("prvs=0891a9abd5=ann@o.test"), header("From: ann@o.test")), false, "neither"},
		{"btv1", rule1, facts(from("btv1==0891a9abd5==ann@example.com")), true, "envelope sender"},
		{"VERP", rule1, facts(from("bounce+bob=partner.test@example.com")), true, "envelope sender"},
		{"VERP of a service that names the domain as recipient", rule1, facts(from("bounce+ann=example.com@news.test"), header("From: news@news.test")), false, "neither"},
		{"VERP of a service in the domain's name", rule1, facts(from("bounces+12-bob=partner.test@esp.test"), header("From: Ann <ann@example.com>")), true, "header from"},
		{"VERP handed in by somebody bound", rule1, facts(from("b+bob=partner.test@esp.test"), header("From: x@o.test"), by(authorship.Origin{Senders: []string{"esp.test", "example.com"}})), true, "bound to example.com"},
		{"the percent hack", rule1, facts(from("ann%example.com@relay.test"), header("From: x@o.test")), true, "stands for example.com"},
		{"a UUCP path", rule1, facts(from("example.com!ann@relay.test"), header("From: x@o.test")), true, "stands for example.com"},
		{"an address in quotes", rule1, facts(from(`"ann@example.com"@relay.test`), header("From: x@o.test")), true, "stands for example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustParse(t, "[[rule]]\nname = 'r'\naction = 'force-tls'\n"+tt.rule)
			if got := matches(t, s, tt.facts); got != tt.want {
				t.Errorf("got %v", got)
			}
			if why := s.Explain(tt.facts).Rules[0].Fields[0]; why.Field != "domain" || !strings.Contains(strings.ToLower(why.Why), strings.ToLower(tt.why)) {
				t.Errorf("%+v, want %q", why, tt.why)
			}
		})
	}
}

func TestAHeaderTooLargeMayBeAnybodys(t *testing.T) {
	s := mustParse(t, "[[rule]]\nname = 'r'\naction = 'force-tls'\ndomain = ['example.com']\n")
	f := facts(from("x@o.test"), header("From: x@o.test", "X-Long: "+strings.Repeat("x", 300<<10)))
	if !matches(t, s, f) {
		t.Error("not matched")
	}
	if f = facts(from("x@o.test"), header("From: "+strings.Repeat("x", 70<<10)+"@o.test")); !matches(t, s, f) {
		t.Error("a From that is too long is not matched")
	}
}

// FuzzTheMailOfADomain: nothing that stands in a header takes an address out of sight that stands there too.
func FuzzTheMailOfADomain(f *testing.F) {
	for _, s := range []string{"", "Bob <bob@o.test>", `"a\"b" `, "(comment", "=?utf-8?q?x?= ", "@", "a@[192.0.2.1], ", "x@o.test;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, before string) {
		if strings.ContainsAny(before, "\r\n") {
			t.Skip()
		}
		s := mustParse(t, "[[rule]]\nname = 'r'\naction = 'force-tls'\ndomain = ['example.com']\n")
		m := facts(from("x@o.test"), header("From: "+before, "From: <ann@example.com>"))
		if !s.Evaluate(m).Recipients[0].Matched {
			t.Errorf("From: %q hides the second", before)
		}
		s.Explain(m)
	})
}
