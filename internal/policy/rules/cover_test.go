package rules

import (
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy/rulematch"
)

// TestWarningsSayWhatARuleDoesNotCover tries rules against what their authors may think they cover. own are domains of
// our own servers.
func TestWarningsSayWhatARuleDoesNotCover(t *testing.T) {
	const own = "home.test office.home.test elsewhere.test"
	for _, tt := range []struct{ match, want, hint string }{
		{`sender = ["example.com"]`, `sender "example.com" is not the whole domain: it leaves out sub-domains, the null sender of bounces, and senders that a forwarder or a list rewrote`,
			`write "*.example.com", "<>" too`},
		{`sender = ["*@Example.com"]`, "sub-domains, the null sender", `"*.example.com"`},
		{`sender = ["example.com", "*.example.com"]`, "it leaves out the null sender of bounces, and senders", `write "<>" too`},
		{`sender = ["example.com", "<>"]`, "it leaves out sub-domains, and senders", `write "*.example.com" too`},
		{`sender = ["a.test", "b.test", "c.test", "d.test"]`, `"a.test", "b.test", "c.test" and 1 more is not`, `domain = ["a.test"]`},
		{`sender = ["lab.example.com", "*.example.com"]`, "it leaves out the null sender", ""},
		{`sender = ["example.com", "*.example.com", "<>"]`, "", ""},
		{`sender = ["ann@example.com", "[192.0.2.1]"]`, "", ""},
		{`sender = ["*"]`, "", ""},

		{`recipient = ["home.test"]`, "does nothing: all it speaks about is our own home.test", "require in [[domain]]"},
		{`recipient = ["HOME.test.", "dr@Elsewhere.test"]`, "does nothing: all it speaks about is our own elsewhere.test, home.test", ""},
		{`recipient = ["home.test", "clinic.test"]`, "does nothing about our own home.test", ""},
		{`recipient = ["*.home.test"]`, "does nothing about our own office.home.test", ""},
		{`recipient = ["*"]`, "does nothing about our own elsewhere.test, home.test, office.home.test", ""},
		{`recipient = ["dr*@*.test"]`, "does nothing about our own elsewhere.test, home.test, office.home.test", ""},
		{`recipient = ['re:^.*@home\.test$']`, "does nothing about our own home.test", ""},
		{`recipient = ["clinic.test", "*.clinic.test"]`, "", ""},
		{`subject = ["*x*"]`, "", ""},
	} {
		t.Run(tt.match, func(t *testing.T) {
			s := mustParse(t, ruleWith(tt.match)+"\n[[rule]]\nname = 'literals'\naction = 'force-tls'\nmatch.recipient = ['x@unrelated.test']\nmatch.literals = true\n")
			list := s.Warnings(now, domains(own)...)
			if tt.want == "" {
				if len(list) > 0 {
					t.Errorf("warned: %+v", list)
				}
				return
			}
			if len(list) != 1 || !strings.Contains(list[0].Text, tt.want) || !strings.Contains(list[0].Hint, tt.hint) || list[0].Hint == "" || list[0].Rule != "r" {
				t.Errorf("warned %+v, want %q, %q", list, tt.want, tt.hint)
			}
			if about := s.OwnWarnings(domains(own)); (len(about) > 0) != strings.Contains(tt.want, "our own") {
				t.Errorf("about our own: %+v", about)
			}
			if len(s.OwnWarnings(nil)) > 0 {
				t.Error("warned of our own domains where there are none")
			}
		})
	}
}

func domains(list string) (out []mail.Domain) {
	for _, d := range strings.Fields(list) {
		out = append(out, mail.MustDomain(d))
	}
	return out
}

func TestAddressLiteralsGoAroundRulesByDomain(t *testing.T) {
	for _, tt := range []struct {
		match, to string
		want      bool
	}{
		{`recipient = ["clinic.test"]`, "dr@[192.0.2.1]", false},
		{`recipient = ["clinic.test", "*.clinic.test", "dr*@*.test"]`, "dr@[IPv6:2001:db8::1]", false},
		{"recipient = ['clinic.test']\nliterals = true", "dr@[192.0.2.1]", true},
		{"recipient = ['clinic.test']\nliterals = true", "dr@[IPv6:2001:db8::1]", true},
		{"recipient = ['clinic.test']\nliterals = true", "dr@[ipv6:::ffff:192.0.2.1]", true},
		{"recipient = ['clinic.test']\nliterals = true", "dr@other.test", false},
		{"recipient = ['clinic.test']\nliterals = true", "dr@clinic.test", true},
		{"recipient = ['clinic.test']\nliterals = false", "dr@[192.0.2.1]", false},
		{"literals = true", "dr@other.test", true}, // without recipient: everybody
		{"sender = ['zzz.test']\nrecipient = ['clinic.test']\nliterals = true", "dr@[192.0.2.1]", false},
	} {
		t.Run(tt.match+" "+tt.to, func(t *testing.T) {
			if got := matches(t, mustParse(t, ruleWith(tt.match)), facts(to(tt.to))); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestWarningsAboutLiteralsAreOneForAllRules(t *testing.T) {
	two := ruleWith(`recipient = ["clinic.test"]`) + "\n[[rule]]\nname = 'second'\naction = 'force-tls'\nmatch.recipient = ['*.bank.test']\n"
	list := mustParse(t, two).Warnings(now)
	if len(list) != 1 || list[0].Rule != "r" || !strings.Contains(list[0].Text, "nor do 1 more") || !strings.Contains(list[0].Hint, "literals = true") {
		t.Errorf("%+v", list)
	}
	for _, enough := range []string{"match.recipient = ['x.test']\nmatch.literals = true", "match.recipient = ['*']"} {
		if list := mustParse(t, two+"\n[[rule]]\nname = 'enough'\naction = 'force-tls'\n"+enough+"\n").Warnings(now); len(list) != 0 {
			t.Errorf("%s: %+v", enough, list)
		}
	}
	if list := mustParse(t, two+"\n[[rule]]\nname = 'tested'\nmode = 'test'\naction = 'force-tls'\nmatch.recipient = ['*']\n").Warnings(now); len(list) != 1 {
		t.Errorf("a rule under test: %+v", list)
	}
	if list := mustParse(t, ruleWith(`recipient = ["dr@clinic.test"]`)).Warnings(now); len(list) != 0 {
		t.Errorf("one address: %+v", list)
	}
}

func TestExplainSaysWhyNearlyIsNot(t *testing.T) {
	for _, tt := range []struct {
		match string
		facts *rulematch.Facts
		want  string
	}{
		{`sender = ["a.test"]`, facts(from("x@mail.a.test")), `"a.test" is that domain alone, "*.a.test" would cover it`},
		{`sender = ["a.test"]`, facts(from("")), `only the value "<>" covers the null sender`},
		{`recipient = ["clinic.test"]`, facts(to("x@lab.clinic.test")), `"*.clinic.test" would cover it`},
		{`recipient = ["clinic.test"]`, facts(to("x@[192.0.2.1]")), "literals = true would"},
		{"recipient = ['clinic.test']\nliterals = true", facts(to("x@[192.0.2.1]")), `"literals = true" covers x@[192.0.2.1]`},
		{`recipient = ["b.test"]`, facts(func(f *rulematch.Facts) { f.Local = []bool{true} }), "its domain is our own, which outbound rules are not about"},
		{`recipient = ["b.test", "c.test"]`, facts(to("x@b.test", "y@c.test"), func(f *rulematch.Facts) { f.Local = []bool{true, false} }),
			`"c.test" covers y@c.test; "b.test" covers x@b.test, but its domain is our own`},
	} {
		e := mustParse(t, ruleWith(tt.match)).Explain(tt.facts).Rules[0]
		all := ""
		for _, f := range e.Fields {
			all += f.Why + "\n"
		}
		if !strings.Contains(all, tt.want) {
			t.Errorf("%s: %q, want %q", tt.match, all, tt.want)
		}
	}
}
