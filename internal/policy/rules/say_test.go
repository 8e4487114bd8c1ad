package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy/rulematch"
)

const partners = `
[[rule]]
name = "clinic"
action = "force-tls"
[rule.match]
sender = ["a.test"]
recipient = ["clinic.test", "*.clinic.test"]
[rule.force_tls]
unspecified_recipients = "opportunistic"
defer = "4h"

[[rule]]
name = "secret"
action = "force-tls"
match.subject = ["*[secure]*"]
match.sender_ip = ["10.0.0.0/8"]
force_tls.min_tls = "1.3"

[[rule]]
name = "big"
mode = "test"
action = "force-tls"
match.size_over = "1MB"
match.recipients_over = 5
match.header = [{ name = "X-Class", value = "a*" }]

[[rule]]
name = "old"
expires = 2026-01-01
action = "force-tls"

[[rule]]
name = "off"
scope = "disabled"
action = "force-tls"

[[rule]]
name = "trial"
mode = "test"
action = "force-tls"
match.recipient = ["b.test"]
force_tls.names = ["mail.b.test"]
`

func TestExplainTellsAPersonWhy(t *testing.T) {
	s := mustParse(t, partners)
	var out strings.Builder
	for _, f := range []*rulematch.Facts{
		facts(to("dr@x.CLINIC.test", "bob@b.test"), header("Subject: [Secure] results", "X-Class: abc")),
		facts(to("bob@b.test"), client("192.0.2.1"), from("")),
		facts(to("dr@clinic.test", "me@a.test"), func(f *rulematch.Facts) { f.Local = []bool{false, true} }, header("Subject: "+strings.Repeat("x\r\n ", 20_000))),
		facts(to("me@a.test"), func(f *rulematch.Facts) { f.Local = []bool{true} }, header("X: "+strings.Repeat("y", mail.MaxHeaderSize))),
	} {
		e := s.Explain(f)
		fmt.Fprintf(&out, "from %s\n", f.From)
		for _, r := range e.Rules {
			fmt.Fprintf(&out, "  %-7s matched=%v %s\n", r.Rule, r.Matched, r.Skipped)
			for _, field := range r.Fields {
				fmt.Fprintf(&out, "    %-5v %s: %s\n", field.Matched, field.Field, field.Why)
			}
		}
		for _, r := range e.Recipients {
			fmt.Fprintf(&out, "  to %s: %s\n", r.Recipient, say(r.Outcome))
			for _, p := range r.Parts {
				test := ""
				if p.Test {
					test = " (under test)"
				}
				fmt.Fprintf(&out, "    %s%s: %s\n", p.Demand, test, strings.Join(p.Rules, ", "))
			}
		}
	}
	golden(t, "explain.golden", out.String())
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{"match.recipient = ['a.test']\nmatch.literals = true", ""},
		{"", "has no condition: it forces TLS for all outbound mail"},
		{"match.case = true", "has no condition: it forces TLS for all outbound mail"},
		{"scope = 'disabled'", ""},
		{"match.sender = ['x@a.test']\nforce_tls.unspecified_recipients = 'opportunistic'", "unspecified_recipients has no effect: without recipient the rule names every recipient"},
		{"match.sender = ['x@a.test']\nforce_tls.min_tls = '1.1'", "min_tls below 1.2 accepts connections that can be broken"},
		{"match.literals = true\nmatch.recipient = ['re:a.test$']", `"re:a.test$" is searched anywhere in the address`},
		{"match.literals = true\nmatch.recipient = ['re:^a@']", ""},
		{"match.literals = true\nmatch.recipient = ['*clinic.test']", `"*clinic.test" also covers other domains that end so`},
		{"match.literals = true", "has no condition: it forces TLS for all outbound mail; literals has no effect: without recipient the rule names every recipient"},
		{"match.sender = ['*.clinic.test', '*@clinic.test', '*']", ""},
		{"match.literals = true\nmatch.recipient = ['boss']", `"boss" is a domain without a dot, and no person`},
		{"match.literals = true\nmatch.recipient = ['a.test', '[192.0.2.1]', 'a@boss', 'a。test']\nunless.recipient = ['boss']", `"boss" is a domain without a dot, and no person`},
		{"expires = 2026-11-30\nmatch.sender = ['x@a.test']", "expired (2026-11-30): it protects nothing any more"},
		{"expires = 2026-12-30\nmatch.sender = ['x@a.test']", "expires (2026-12-30): its protection ends then"},
		{"expires = 2026-12-31\nmatch.sender = ['x@a.test']", ""},
		{"expires = 2026-12-02T00:00:00Z\nmatch.sender = ['x@a.test']", "expires (2026-12-02T00:00:00Z): its protection ends then"},
		{"mode = 'test'\nexpires = 2026-12-02\nmatch.sender = ['x@a.test']", ""},
	} {
		s := mustParse(t, "\n[[rule]]\nname = 'r'\naction = 'force-tls'\n"+tt.rule)
		var got []string
		for _, w := range s.Warnings(now) {
			got = append(got, w.Text)
			if w.Rule != "r" || w.Line != 2 || w.Hint == "" {
				t.Errorf("%q: %+v", tt.rule, w)
			}
		}
		if strings.Join(got, "; ") != tt.want {
			t.Errorf("%q: got %q, want %q", tt.rule, got, tt.want)
		}
	}
}

func TestRulesAsJSON(t *testing.T) {
	text, err := os.ReadFile("testdata/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, r := range mustParse(t, string(text)).Rules() {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(b, '\n'))
	}
	golden(t, "full.json.golden", out.String())
}

func TestNeedsHeader(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                 false,
		ruleWith("recipient = ['a.test']"): false,
		ruleWith("subject = ['a']"):        true,
		ruleWith("header = [{name='a',value='b'}]"):                                                         true,
		strings.Replace(ruleWith("subject = ['a']"), "[rule.match]", "mode = 'test'\n[rule.match]", 1):      true,
		strings.Replace(ruleWith("subject = ['a']"), "[rule.match]", "scope = 'disabled'\n[rule.match]", 1): false,
	} {
		if got := mustParse(t, text).NeedsHeader(); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
	if (&Set{}).NeedsHeader() || len((&Set{}).Evaluate(facts()).Recipients) != 1 {
		t.Error("the zero Set is not a set without rules")
	}
}
