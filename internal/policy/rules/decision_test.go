package rules

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

// say prints an outcome on one line.
func say(o Outcome) string {
	text := requirementText(o.Requirement)
	if o.Window > 0 {
		text += ", window " + rulevalue.DurationText(o.Window)
	}
	if len(o.Rules) > 0 {
		text += fmt.Sprintf(" %q", o.Rules)
	}
	if o.Matched {
		text += " named"
	}
	if len(o.Tested) > 0 {
		text += fmt.Sprintf(" | under test %q: %s", o.Tested, requirementText(o.TestedRequirement))
	}
	return text
}

func requirementText(r policy.Requirement) string {
	text := r.Channel.String()
	if r.Aim > policy.Plaintext {
		text += ", aim " + r.Aim.String()
	}
	for _, d := range r.Peer {
		text += ", " + demandText(d)
	}
	if r.MX > policy.MXAny {
		text += fmt.Sprintf(", mx %s %q", []string{"any", "pinned", "proven"}[r.MX], r.PinnedBy)
	}
	if r.MinTLS > 0 {
		text += fmt.Sprintf(", TLS %#x", r.MinTLS)
	}
	if r.Channel > policy.Plaintext && r.Revocation != policy.RevocationCheck || r.Channel == policy.Plaintext && r.Revocation > 0 {
		text += ", revocation " + []string{"off", "check", "require"}[r.Revocation]
	}
	if r.Channel > policy.Plaintext {
		text += ", without TLS " + []string{"defer", "reject"}[r.WithoutTLS]
	}
	return text
}

// TestDecisions is the table of design.md §3: one rule, two rules, ticked and unticked, in force and under test,
// against messages to a recipient that is named, one that another rule names, and one that nobody names. A changed
// cell is a changed line in testdata/decisions.golden.
func TestDecisions(t *testing.T) {
	ruleWith := func(name, extra string) string {
		return fmt.Sprintf("[[rule]]\nname = %q\naction = 'force-tls'\nmatch.recipient = ['%s.test']\n%s\n", name, name, extra)
	}
	const (
		ticked = "force_tls.unspecified_recipients = 'opportunistic'\n"
		test   = "mode = 'test'\n"
	)
	everyone := func(name, extra string) string {
		return fmt.Sprintf("[[rule]]\nname = %q\naction = 'force-tls'\nmatch.sender = ['sender.test']\n%s\n", name, extra)
	}
	cases := []struct{ name, rules string }{
		{"no rules", ""},
		{"a unticked", ruleWith("a", "")},
		{"a ticked", ruleWith("a", ticked)},
		{"a disabled", ruleWith("a", "scope = 'disabled'")},
		{"a expired", ruleWith("a", "expires = 2026-11-30")},
		{"a under test, unticked", ruleWith("a", test)},
		{"a under test, ticked", ruleWith("a", test+ticked)},
		{"a unticked, without_tls defer", ruleWith("a", "force_tls.without_tls = 'defer'")},
		{"a unticked, without_tls reject", ruleWith("a", "force_tls.without_tls = 'reject'")},
		{"a ticked, without_tls reject", ruleWith("a", ticked+"force_tls.without_tls = 'reject'")},
		{"a for an hour with TLS 1.3 and its own CA", ruleWith("a", "force_tls.defer = '1h'\nforce_tls.min_tls = '1.3'\nforce_tls.trust = '/ca.pem'\nforce_tls.names = 'domain'")},
		{"a and b unticked", ruleWith("a", "") + ruleWith("b", "")},
		{"a unticked, b ticked", ruleWith("a", "") + ruleWith("b", ticked)},
		{"a and b ticked", ruleWith("a", ticked) + ruleWith("b", ticked)},
		{"a ticked for 1h with its own CA, b ticked for 2h with TLS 1.3", ruleWith("a", ticked+"force_tls.defer = '1h'\nforce_tls.trust = '/ca.pem'") + ruleWith("b", ticked+"force_tls.defer = '2h'\nforce_tls.min_tls = '1.3'")},
		{"a unticked for 2h with its own CA, b unticked for 1h with TLS 1.0", ruleWith("a", "force_tls.defer = '2h'\nforce_tls.trust = '/ca.pem'") + ruleWith("b", "force_tls.defer = '1h'\nforce_tls.min_tls = '1.0'")},
		{"a with without_tls defer, b unticked", ruleWith("a", "force_tls.without_tls = 'defer'") + ruleWith("b", "")},
		{"a and b with without_tls defer", ruleWith("a", "force_tls.without_tls = 'defer'") + ruleWith("b", "force_tls.without_tls = 'defer'")},
		{"a in force, b under test", ruleWith("a", ticked) + ruleWith("b", test)},
		{"a under test, b in force", ruleWith("a", test) + ruleWith("b", ticked)},
		{"everyone", everyone("all", "")},
		{"everyone, ticked", everyone("all", ticked)},
		{"everyone with TLS 1.3, a ticked with pins", everyone("all", "force_tls.min_tls = '1.3'") + ruleWith("a", ticked+"force_tls.pins = ['sha256:"+strings.Repeat("ab", 32)+"']")},
		{"everyone without look-ups, a ticked and not revoked for certain", everyone("all", "force_tls.revocation = 'off'") + ruleWith("a", ticked+"force_tls.revocation = 'require'")},
		{"everyone with any mail host, a with its own names, b with proven ones", everyone("all", "force_tls.mx = 'any'") +
			ruleWith("a", "force_tls.names = ['mx.a.test']") + ruleWith("b", "force_tls.mx = 'proven'")},
		{"everyone for 1h, a unticked", everyone("all", "force_tls.defer = '1h'") + ruleWith("a", "")},
	}
	messages := []struct {
		name  string
		to    []string
		local []bool
	}{
		{"to a", []string{"x@a.test"}, nil},
		{"to c", []string{"x@c.test"}, nil},
		{"to a, b, c", []string{"x@a.test", "x@b.test", "x@c.test"}, nil},
		{"to a and our own c", []string{"x@a.test", "x@c.test"}, []bool{false, true}},
		{"to our own a and c", []string{"x@a.test", "x@c.test"}, []bool{true, false}},
	}
	var out strings.Builder
	for _, c := range cases {
		s := mustParse(t, c.rules)
		fmt.Fprintf(&out, "== %s\n", c.name)
		for _, m := range messages {
			f := facts(from("s@sender.test"), to(m.to...))
			f.Local = m.local
			fmt.Fprintf(&out, "   %s\n", m.name)
			for i, o := range s.Evaluate(f).Recipients {
				fmt.Fprintf(&out, "      %-9s %s\n", m.to[i], say(o))
			}
		}
	}
	golden(t, "decisions.golden", out.String())
}
