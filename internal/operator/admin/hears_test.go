package admin

import (
	"strings"
	"testing"
	"time"

	"postern/internal/history/traffic"
	"postern/internal/operator/access"
)

// TestARuleOfAWholeDomainIsTold: to an account of that domain, but not its sums, which are of others' mail too, nor
// anything of rules beside it.
func TestARuleOfAWholeDomainIsTold(t *testing.T) {
	s, store, _ := service(t)
	book := traffic.NewBook(store)
	now := time.Now()
	var sums []traffic.Sum
	for _, name := range []string{"own", "whole", "other"} {
		sums = append(sums, traffic.Sum{At: traffic.Bucket(traffic.OfRule, now), Kind: traffic.OfRule, Name: name, Level: "plaintext", Outcome: traffic.Delivered, Count: 1})
	}
	if err := book.AddTraffic(t.Context(), sums); err != nil {
		t.Fatal(err)
	}
	s = changed(s, func(c *Config) { c.Traffic = book })
	const tail = "action = \"force-tls\"\n"
	text := "[[rule]]\nname = \"own\"\n" + tail + "[rule.match]\nsender = [\"a.test\"]\nrecipient = [\"p.test\"]\n[[rule]]\nname = \"whole\"\ndomain = [\"a.test\"]\n" + tail +
		"[[rule]]\nname = \"other\"\n" + tail + "[rule.match]\nrecipient = [\"zebra.test\"]\n"
	if _, err := s.For(everywhere(access.Administrator)).ApplyRules(t.Context(), ApplyRequest{Text: text}); err != nil {
		t.Fatal(err)
	}
	d := s.For(within(access.Administrator, "a.test"))
	v, err := d.Rules(t.Context())
	if err != nil || len(v.Rules) != 2 || !strings.Contains(string(v.Rules[1]), `"whole"`) {
		t.Errorf("%+v, %v", v, err)
	}
	for _, w := range v.Warnings {
		if strings.Contains(w.Text, "more rules") || strings.Contains(w.Hint, "<>") || strings.Contains(w.Hint, "domain = ") || w.Line != 0 {
			t.Errorf("warned of %+v", w)
		}
	}
	if len(v.Warnings) == 0 {
		t.Error("no warning")
	}
	got, err := d.Traffic(t.Context(), traffic.Query{Kind: traffic.OfRule, Since: now.AddDate(0, 0, -1)})
	if err != nil || len(got) != 1 || got[0].Name != "own" {
		t.Errorf("sums %+v, %v", got, err)
	}
	refused(t, "deleting it", func() error {
		_, err := d.EditRule(t.Context(), RuleEdit{Name: "whole", IfRevision: v.Revision})
		return err
	}(), access.ErrForbidden)
	out, err := d.EditRule(t.Context(), RuleEdit{Name: "own", IfRevision: v.Revision, DryRun: true,
		Rule: "[[rule]]\nname = \"own\"\n" + tail + "[rule.match]\nsender = [\"a.test\"]\n"})
	if err != nil || len(out.Changes) != 1 || out.Rules != 2 {
		t.Errorf("%+v, %v", out, err)
	}
	for _, w := range out.Warnings {
		if strings.Contains(w.Hint, "<>") {
			t.Errorf("a trial warns of %+v", w)
		}
	}
}
