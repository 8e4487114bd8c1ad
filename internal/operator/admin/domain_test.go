package admin

import (
	"errors"
	"slices"
	"testing"

	"postern/internal/operator/access"
	"postern/internal/policy"
)

// TestRulesOfADomain: a rule by the sender leaves out what a rule by the domain has, and rules of others are not shown.
func TestRulesOfADomain(t *testing.T) {
	const tail = "action = \"force-tls\"\n"
	for what, tt := range map[string]struct {
		rules string
		names []string
		lines [4]policy.Level // in it, below it, in the header, the null sender
	}{
		"none":       {"", nil, [4]policy.Level{}},
		"by sender":  {"[[rule]]\nname = \"s\"\n" + tail + "[rule.match]\nsender = [\"a.test\"]\n", []string{"s"}, [4]policy.Level{policy.Authenticated}},
		"by domain":  {"[[rule]]\nname = \"d\"\ndomain = [\"a.test\"]\n" + tail, []string{"d"}, [4]policy.Level{policy.Authenticated, 0, policy.Authenticated, policy.Authenticated}},
		"and below":  {"[[rule]]\nname = \"d\"\ndomain = [\"a.test\"]\nbelow = true\n" + tail, []string{"d"}, [4]policy.Level{policy.Authenticated, policy.Authenticated, policy.Authenticated, policy.Authenticated}},
		"of another": {"[[rule]]\nname = \"b\"\ndomain = [\"b.test\"]\n" + tail, nil, [4]policy.Level{}},
		"some of it": {"[[rule]]\nname = \"r\"\n" + tail + "[rule.match]\nrecipient = [\"clinic.test\"]\n", []string{"r"}, [4]policy.Level{}},
		"on trial":   {"[[rule]]\nname = \"t\"\nmode = \"test\"\n" + tail + "[rule.match]\nsender = [\"a.test\"]\n", []string{"t"}, [4]policy.Level{}},
		"disabled":   {"[[rule]]\nname = \"x\"\nscope = \"disabled\"\n" + tail + "[rule.match]\nsender = [\"a.test\"]\n", nil, [4]policy.Level{}},
	} {
		s, _, _ := service(t)
		d := s.For(everywhere(access.Administrator))
		if _, err := d.ApplyRules(t.Context(), ApplyRequest{Text: tt.rules + "# all\n"}); err != nil {
			t.Fatal(what, err)
		}
		got, err := d.RulesOf(t.Context(), "A.test")
		if err != nil || got.Domain != "a.test" || !slices.Equal(got.Rules, tt.names) || len(got.Mail) != 4 {
			t.Errorf("%s: %+v, %v", what, got, err)
			continue
		}
		for i, m := range got.Mail {
			if max(m.Requires, policy.Plaintext) != max(tt.lines[i], policy.Plaintext) {
				t.Errorf("%s: mail %s requires %v", what, m.What, m.Requires)
			}
		}
	}
	s, _, _ := service(t)
	if _, err := s.For(within(access.Administrator, "a.test")).RulesOf(t.Context(), "a.test"); !errors.Is(err, access.ErrForbidden) {
		t.Error(err)
	}
	if _, err := s.For(everywhere(access.Auditor)).RulesOf(t.Context(), "*.test"); !errors.Is(err, access.ErrBadRequest) {
		t.Error(err)
	}
}
