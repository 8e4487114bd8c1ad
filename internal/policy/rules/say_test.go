package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
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
	for _, f := range []*Facts{
		facts(to("dr@x.CLINIC.test", "bob@b.test"), header("Subject: [Secure] results", "X-Class: abc")),
		facts(to("bob@b.test"), client("192.0.2.1"), from("")),
		facts(to("dr@clinic.test", "me@a.test"), func(f *Facts) { f.Local = []bool{false, true} }, header("Subject: "+strings.Repeat("x\r\n ", 20_000))),
		facts(to("me@a.test"), func(f *Facts) { f.Local = []bool{true} }, header("X: "+strings.Repeat("y", mail.MaxHeaderSize))),
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

func TestDiffTellsWhatChangesAndWhatGetsWeaker(t *testing.T) {
	old := mustParse(t, partners)
	new := mustParse(t, strings.NewReplacer(
		`"1.3"`, `"1.2"`,
		`recipient = ["clinic.test", "*.clinic.test"]`, `recipient = ["*.clinic.test"]`,
		`name = "big"`, `name = "Big"`,
		`name = "old"`, `name = "brand new"`,
		`expires = 2026-01-01`, `expires = 2027-01-01`,
		`match.recipient = ["b.test"]`, `match.recipient = ["c.test"]`,
	).Replace(partners))
	text, err := json.MarshalIndent(Diff(old, new), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "diff.golden", string(text)+"\n")
	if changes := Diff(&Set{}, &Set{}); len(changes) != 0 {
		t.Errorf("nothing and nothing differ: %v", changes)
	}
	for _, c := range Diff(old, &Set{}) {
		if want := c.Rule == "clinic" || c.Rule == "secret" || c.Rule == "old"; c.Kind != Removed || c.Weaker != want {
			t.Errorf("removing %q: %s, weaker %v", c.Rule, c.Kind, c.Weaker)
		}
	}
	for _, c := range Diff(&Set{}, old) {
		if c.Kind != Added || c.Weaker {
			t.Errorf("adding %q: %s, weaker %v", c.Rule, c.Kind, c.Weaker)
		}
	}
}

func TestDiffJudgesEveryKey(t *testing.T) {
	const base = "[[rule]]\nname = 'r'\naction = 'force-tls'\n"
	pin, pin2 := "'sha256:"+strings.Repeat("ab", 32)+"'", "'sha256:"+strings.Repeat("cd", 32)+"'"
	for _, tt := range []struct {
		before, after string
		weaker        bool
	}{
		{"", "description = 'x'", false},
		{"", "scope = 'disabled'", true},
		{"scope = 'disabled'", "", false},
		{"scope = 'disabled'", "mode = 'test'", false},
		{"", "mode = 'test'", true},
		{"mode = 'test'", "", false},
		{"", "expires = 2030-01-01", true},
		{"expires = 2030-01-01", "", false},
		{"expires = 2030-01-01", "expires = 2029-12-31", true},
		{"expires = 2030-01-01", "expires = 2030-01-02", false},
		{"expires = 2030-01-01", "expires = 2030-01-02T00:00:00Z", false},
		{"", "match.sender = ['a.test']", true},
		{"match.sender = ['a.test']", "", false},
		{"match.sender = ['a.test']", "match.sender = ['b.test', 'a.test']", false},
		{"match.sender = ['b.test', 'a.test']", "match.sender = ['a.test', 'b.test']", false},
		{"match.sender = ['a.test', 'b.test']", "match.sender = ['a.test']", true},
		{"match.recipient = ['a.test']", "match.recipient = ['b.test']", true},
		{"match.recipient = ['a.test']", "match.recipient = ['a.test', 'b.test']", false},
		{"match.sender_ip = ['10.0.0.0/8']", "match.sender_ip = ['10.0.0.0/16']", true},
		{"match.sender_ip = ['10.0.0.0/8']", "match.sender_ip = ['10.0.0.0/8', '192.0.2.1']", false},
		{"match.subject = ['a']", "match.subject = ['b']", true},
		{"match.header = [{name='a',value='b'}]", "match.header = [{name='a',value='b'},{name='c',value='d'}]", false},
		{"match.header = [{name='a',value='b'}]", "match.header = [{name='a',value='c'}]", true},
		{"", "match.size_over = 5", true},
		{"match.size_over = 5", "match.size_over = 6", true},
		{"match.size_over = 5", "match.size_over = 4", false},
		{"match.size_over = 5", "", false},
		{"match.recipients_over = 5", "match.recipients_over = 6", true},
		{"match.recipients_over = 5", "", false},
		{"match.subject = ['a']", "match.subject = ['a']\nmatch.case = true", true},
		{"match.subject = ['a']\nmatch.case = true", "match.subject = ['a']", false},
		{"match.subject = ['re:[^a]']\nmatch.case = true", "match.subject = ['re:[^a]']", true},
		{"", "force_tls.unspecified_recipients = 'opportunistic'", true},
		{"force_tls.unspecified_recipients = 'opportunistic'", "", false},
		{"", "force_tls.names = 'domain'", true},
		{"", "force_tls.names = ['a.b.test']", true},
		{"force_tls.names = 'domain'", "", true},
		{"force_tls.names = ['a.b.test']", "", true},
		{"force_tls.names = ['a.b.test']", "force_tls.names = 'domain'", true},
		{"force_tls.names = ['a.b.test']", "force_tls.names = ['a.b.test', 'c.b.test']", true},
		{"force_tls.names = ['a.b.test', 'c.b.test']", "force_tls.names = ['a.b.test']", false},
		{"", "force_tls.trust = '/ca.pem'", true},
		{"", "force_tls.pins = [" + pin + "]", false},
		{"force_tls.pins = [" + pin + "]", "", true},
		{"force_tls.pins = [" + pin + "]", "force_tls.pins = [" + pin + "," + pin2 + "]", true},
		{"force_tls.pins = [" + pin + "," + pin2 + "]", "force_tls.pins = [" + pin2 + "]", false},
		{"", "force_tls.min_tls = '1.1'", true},
		{"", "force_tls.min_tls = '1.3'", false},
		{"", "force_tls.revocation = 'off'", true},
		{"", "force_tls.revocation = 'require'", false},
		{"force_tls.revocation = 'require'", "", true},
		{"", "force_tls.mx = 'any'", true},
		{"", "force_tls.mx = 'proven'", false},
		{"force_tls.mx = 'proven'", "", true},
		{"", "force_tls.defer = '1h'", false},
		{"force_tls.without_tls = 'reject'", "force_tls.without_tls = 'defer'", false},
	} {
		changes := Diff(mustParse(t, base+tt.before), mustParse(t, base+tt.after))
		if len(changes) == 0 && !tt.weaker {
			continue // the order of a list is shown, but an equal text is no change
		}
		if len(changes) != 1 || changes[0].Kind != Changed || changes[0].Weaker != tt.weaker || (changes[0].Why != "") != tt.weaker {
			t.Errorf("from %q to %q: got %+v, want weaker %v", tt.before, tt.after, changes, tt.weaker)
		}
	}
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
		"":                                      false,
		rule("recipient = ['a.test']"):          false,
		rule("subject = ['a']"):                 true,
		rule("header = [{name='a',value='b'}]"): true,
		strings.Replace(rule("subject = ['a']"), "[rule.match]", "mode = 'test'\n[rule.match]", 1):      true,
		strings.Replace(rule("subject = ['a']"), "[rule.match]", "scope = 'disabled'\n[rule.match]", 1): false,
	} {
		if got := mustParse(t, text).NeedsHeader(); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
	if (&Set{}).NeedsHeader() || len((&Set{}).Evaluate(facts()).Recipients) != 1 {
		t.Error("the zero Set is not a set without rules")
	}
}

func TestDurationsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24h", 90 * time.Minute: "1h30m", time.Minute: "1m", 10 * time.Minute: "10m", 30 * time.Second: "30s",
		61 * time.Second: "1m1s", time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s", 100 * time.Hour: "100h",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v is printed %q, want %q", d, got, want)
		}
		if back, err := time.ParseDuration(durationText(d)); err != nil || back != d {
			t.Errorf("%v comes back as %v", d, back)
		}
	}
}
