package admin

import (
	"errors"
	"strings"
	"testing"

	"postern/internal/operator/access"
)

// TestExceptionsOfTheRulesInForce: one is put beside the rules, changed and taken away, each as a revision of which
// nothing else changes; who may not apply a whole file may not do that either.
func TestExceptionsOfTheRulesInForce(t *testing.T) {
	s, _, _ := service(t)
	d := s.For(everywhere(access.Administrator))
	if out, err := d.ApplyRules(t.Context(), ApplyRequest{Text: "# ours\n\n" + ruleText("clinic", "clinic.test", "")}); err != nil || !out.Applied {
		t.Fatal(out, err)
	}
	first := ExceptionEdit{Domain: "BROKEN.test.", Ignore: []string{"sts", "dane"}, Reason: "ticket", Expires: "2099-01-31"}
	for name, who := range map[string]access.Principal{"an auditor": everywhere(access.Auditor),
		"one of a domain": within(access.Administrator, "broken.test")} {
		if out, err := s.For(who).EditException(t.Context(), first); err == nil || out.Applied {
			t.Errorf("%s may: %v", name, err)
		}
	}
	dry := first
	dry.DryRun = true
	if out, err := d.EditException(t.Context(), dry); err != nil || out.Applied || len(out.Changes) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	for what, change := range map[string]func(e *ExceptionEdit){
		"a pattern":     func(e *ExceptionEdit) { e.Domain = "*.test" },
		"a literal":     func(e *ExceptionEdit) { e.Domain = "[192.0.2.1]" },
		"no end":        func(e *ExceptionEdit) { e.Expires = "" },
		"no such day":   func(e *ExceptionEdit) { e.Expires = "2099-02-30" },
		"no zone":       func(e *ExceptionEdit) { e.Expires = "2099-02-03T10:00:00" },
		"no reason":     func(e *ExceptionEdit) { e.Reason = " " },
		"nothing":       func(e *ExceptionEdit) { e.Ignore = nil },
		"another thing": func(e *ExceptionEdit) { e.Ignore = []string{"tls"} },
		"two lines":     func(e *ExceptionEdit) { e.Reason = "a\n[[rule]]" },
	} {
		e := first
		change(&e)
		if out, err := d.EditException(t.Context(), e); !errors.Is(err, access.ErrBadRequest) || out.Applied {
			t.Errorf("%s: %+v, %v", what, out, err)
		}
	}
	if out, err := d.EditException(t.Context(), first); err != nil || !out.Applied {
		t.Fatal(out, err)
	}
	v, err := d.Exceptions(t.Context())
	if err != nil || len(v.Exceptions) != 1 || v.Exceptions[0].Domain != "broken.test" || v.Exceptions[0].Expires != "2099-01-31" || v.Exceptions[0].Over {
		t.Errorf("%+v, %v", v, err)
	}
	first.Expires, first.Domain = "2020-01-31T10:00:00Z", "broken.test"
	if out, err := d.EditException(t.Context(), first); err != nil || !out.Applied {
		t.Fatal(out, err)
	}
	if v, _ = d.Exceptions(t.Context()); len(v.Exceptions) != 1 || !v.Exceptions[0].Over || len(v.Warnings) == 0 {
		t.Errorf("one that has ended: %+v", v)
	}
	if out, err := d.EditException(t.Context(), ExceptionEdit{Domain: "broken.test", Remove: true}); err != nil || !out.Applied {
		t.Fatal(out, err)
	}
	if _, err := d.EditException(t.Context(), ExceptionEdit{Domain: "broken.test", Remove: true}); !errors.Is(err, access.ErrNotFound) {
		t.Error(err)
	}
	if view, _ := d.Rules(t.Context()); !strings.HasPrefix(view.Text, "# ours\n") || strings.Contains(view.Text, "exception") {
		t.Errorf("the rest of the file was changed:\n%s", view.Text)
	}
}
