package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"postern/internal/operator/access"
	"postern/internal/policy/rulelist"
	"postern/internal/policy/rules"
)

const listRules = `# ours
[[list]]
name = "clinics"
values = ["clinic.test", "lab.test"] # all of them

[[list]]
name = "banks"
file = "banks.txt"

[[rule]]
name = "partners"
action = "force-tls"
[rule.match]
recipient = ["list:clinics", "list:Banks"]
literals = true
`

func TestListsOfTheRulesInForce(t *testing.T) {
	s, _, _ := service(t)
	content := "bank.test\n"
	s = changed(s, func(c *Config) {
		c.ListFile = func(file string) rulelist.File {
			if file != "banks.txt" || content == "" {
				return rulelist.File{Wrong: "there is no file " + file, Hint: "write it"}
			}
			return rulelist.File{Content: []byte(content)}
		}
	})
	d := s.For(everywhere(access.Administrator))
	out, err := d.ApplyRules(t.Context(), ApplyRequest{Name: "rules.toml", Text: listRules})
	if err != nil || !out.Applied {
		t.Fatal(out, err)
	}
	v, err := d.Lists(t.Context())
	if err != nil || len(v.Lists) != 2 || v.Lists[1].Entries != 1 || v.Lists[1].Unread || !slices.Equal(v.Lists[1].Rules, []string{"partners"}) {
		t.Errorf("%+v, %v", v, err)
	}
	content = "# gone\n"
	out, err = d.ReplaceList(t.Context(), ListEdit{Name: "CLINICS", Text: "domain\r\nclinic.test\r\n", DryRun: true})
	if err != nil || out.Applied || len(out.Changes) != 1 || !out.Changes[0].Weaker {
		t.Errorf("%+v, %v", out, err)
	}
	old := int64(7)
	if _, err = d.ReplaceList(t.Context(), ListEdit{Name: "clinics", Text: "a.test", IfRevision: &old}); !errors.Is(err, ErrRevision) {
		t.Error(err)
	}
	if out, err = d.ReplaceList(t.Context(), ListEdit{Name: "clinics", Text: "clinic.test\n"}); err != nil || !out.Applied || out.Revision != 2 {
		t.Errorf("%+v, %v", out, err)
	}
	if one, revision, err := d.List(t.Context(), "clinics"); err != nil || revision != 2 || !slices.Equal(one.Values, []string{"clinic.test"}) {
		t.Errorf("%+v, %v", one, err)
	}
	if one, _, _ := d.List(t.Context(), "banks"); len(one.Values) != 1 {
		t.Error("the file of another list was read anew")
	}
	if view, _ := d.Rules(t.Context()); !strings.Contains(view.Text, "# all of them") || !strings.HasPrefix(view.Text, "# ours\n") {
		t.Errorf("the file was changed:\n%s", view.Text)
	}

	back, err := d.RollBack(t.Context(), 1, 2, false, false)
	if one, _, _ := d.List(t.Context(), "banks"); err != nil || !back.Applied || len(one.Values) != 1 {
		t.Errorf("rolled back: %+v, %v", one, err)
	}
	content = ""
	var broken *rules.ParseError
	if _, err := d.ApplyRules(t.Context(), ApplyRequest{Text: listRules}); !errors.As(err, &broken) || !strings.Contains(err.Error(), "there is no file banks.txt") {
		t.Error(err)
	}
	edit := strings.ReplaceAll(listRules[strings.Index(listRules, "[[rule]]"):], "partners", "more")
	if out, err := d.EditRule(t.Context(), RuleEdit{Rule: edit, IfRevision: 3}); err != nil || !out.Applied {
		t.Errorf("a rule by list: %+v, %v", out, err)
	}
}

func TestWhatIsNoListIsRefused(t *testing.T) {
	s, _, _ := service(t)
	d := s.For(everywhere(access.Administrator))
	if _, err := d.ApplyRules(t.Context(), ApplyRequest{Text: listRules}); err == nil || !strings.Contains(err.Error(), "reads no files") {
		t.Error(err)
	}
	text := strings.Replace(listRules, "file = \"banks.txt\"", "values = [\"bank.test\"]", 1)
	if _, err := d.ApplyRules(t.Context(), ApplyRequest{Text: text}); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]ListEdit{"none": {Name: "none", Text: "a.test"}, "empty": {Name: "banks", Text: "# nothing"}, "broken": {Name: "banks", Text: "a b"}} {
		if out, err := d.ReplaceList(t.Context(), e); err == nil || out.Applied {
			t.Errorf("%s: %+v", name, out)
		}
	}
	if _, err := s.For(everywhere(access.Auditor)).ReplaceList(t.Context(), ListEdit{Name: "banks", Text: "a.test"}); err == nil {
		t.Error("whoever only reads may change a list")
	}
	for _, more := range []string{"[[exception]]\ndomain = 'x.test'\nignore = ['sts']\nreason = 'x'\nexpires = 2030-01-01\n", "[[list]]\nname = 'x'\nvalues = ['a.test']\n"} {
		rule := "[[rule]]\nname = 'one'\naction = 'force-tls'\n" + more
		if out, err := d.EditRule(t.Context(), RuleEdit{Rule: rule, IfRevision: 1}); err == nil {
			t.Errorf("%s is taken with a rule: %+v", more, out.Changes)
		}
	}
}
