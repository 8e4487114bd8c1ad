package policy

import (
	"strings"
	"testing"
)

// What one can change in a rule is said where a rule demands, and nowhere else.
func TestHintsFitWhoDemands(t *testing.T) {
	for _, i := range Reasons() {
		for _, asker := range []string{"", ByRule, ByOwn, FromRequireTLS} {
			for _, published := range []string{"", PublishedDANE, PublishedSTS} {
				hint := i.HintFor(published, asker)
				if hint == "" || !strings.HasSuffix(hint, ".") || strings.Contains(hint, "..") {
					t.Errorf("%s, %q, %q: %q", i.Reason, published, asker, hint)
				}
				if ruled := strings.Contains(hint, "rule's") || strings.Contains(hint, "in the rule,"); ruled && (asker != ByRule || published != "") && i.Reason != PinMismatch {
					t.Errorf("%s, %q, %q speaks of a rule: %s", i.Reason, published, asker, hint)
				}
				want := published != "" && asker == "" && i.Class.AboutProtection()
				if strings.Contains(hint, `[[exception]] in the rules, with ignore = ["`+published+`"]`) != want {
					t.Errorf("%s, %q, %q: %s", i.Reason, published, asker, hint)
				}
			}
		}
		if i.HintFor("", ByRule) != i.Hint {
			t.Errorf("%s: %s", i.Reason, i.HintFor("", ByRule))
		}
	}
}

func TestWhoDemandsMost(t *testing.T) {
	for want, sources := range map[string][]string{"": nil, ByRule: {FromOwn("a.test"), FromRequireTLS, FromRule("a")},
		ByOwn: {FromOwn("a.test")}, FromRequireTLS: {FromOwn("a.test"), FromRequireTLS}} {
		var ds []Demand
		for _, s := range sources {
			ds = append(ds, Demand{Source: s})
		}
		if got := Asker(ds); got != want {
			t.Errorf("%v: %q, want %q", sources, got, want)
		}
	}
	if got := Asker([]Demand{{Source: About(FromRule("a"))}}); got != ByRule {
		t.Errorf("a notice about what a rule protects: %q", got)
	}
}
