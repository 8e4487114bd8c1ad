package admin

import (
	"errors"
	"strings"
	"testing"

	"postern/internal/operator/access"
	"postern/internal/policy/rules"
)

func privately(trust string) string {
	return strings.TrimSuffix(clinicRules, "\n") + "\n[rule.force_tls]\ntrust = \"" + trust + "\"\n"
}

// A rule whose file of CA certificates cannot be used is refused wherever it is put in force or previewed, at its
// place; one that is in force already stops no edit of another.
func TestRulesThatNameAnUnreadableFileAreRefused(t *testing.T) {
	s, _, _ := service(t)
	gone := map[string]bool{"gone.pem": true}
	trust := func(file string) (string, string) {
		if gone[file] {
			return "/etc/postern/" + file + ": no such file", "put it there"
		}
		return "", ""
	}
	s = changed(s, func(c *Config) { c.Trust = trust })
	wide := s.For(everywhere(access.Administrator))
	blamed := func(what string, err error, text string) {
		t.Helper()
		var broken *rules.ParseError
		if !errors.As(err, &broken) || len(broken.Problems) != 1 || !strings.Contains(broken.Problems[0].What, text) || broken.Problems[0].Hint == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, dry := range []bool{true, false} {
		_, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Name: "f", Text: privately("gone.pem"), DryRun: dry})
		blamed("apply", err, "no such file")
		_, err = wide.ApplyRules(t.Context(), ApplyRequest{Name: "f", Text: privately("gone.pem"), DryRun: dry})
		blamed("apply at the desk", err, "no such file")
		_, err = wide.EditRule(t.Context(), RuleEdit{Rule: privately("gone.pem"), DryRun: dry})
		blamed("a new rule", err, "no such file")
	}
	_, err := wide.Preview(t.Context(), RuleEdit{Rule: privately("gone.pem")}, 0)
	blamed("preview", err, "no such file")
	if v, err := s.For(access.Root("ann")).Rules(t.Context()); err != nil || v.Revision != 0 {
		t.Errorf("revision %d, %v", v.Revision, err)
	}

	if _, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Name: "f", Text: privately("good.pem")}); err != nil {
		t.Fatal(err)
	}
	gone["good.pem"] = true
	other := strings.ReplaceAll(clinicRules, "clinic", "bank")
	out, err := wide.EditRule(t.Context(), RuleEdit{Rule: other, IfRevision: 1})
	if err != nil || !out.Applied {
		t.Errorf("another rule: %+v, %v", out, err)
	}
	_, err = wide.EditRule(t.Context(), RuleEdit{Name: "clinic", Rule: privately("good.pem"), IfRevision: 2})
	blamed("the rule itself", err, "no such file")
	if out, err = wide.EditRule(t.Context(), RuleEdit{Name: "clinic", IfRevision: 2}); err != nil || !out.Applied {
		t.Errorf("deleting it: %+v, %v", out, err)
	}
	_, err = wide.RollBack(t.Context(), 1, 3, false, false)
	blamed("going back", err, "no such file")

	narrow := s.For(within(access.Administrator, "clinic.test"))
	mine := strings.Replace(privately("gone.pem"), "[rule.match]", "[rule.match]\nsender = [\"clinic.test\"]", 1)
	_, err = narrow.EditRule(t.Context(), RuleEdit{Rule: mine, IfRevision: 3})
	blamed("within a scope", err, "cannot read CA certificates")
	if err != nil && strings.Contains(err.Error(), "/etc") {
		t.Errorf("a scope is told of the disk: %v", err)
	}
}
