package rulediff

import (
	"strings"
	"testing"

	"postern/internal/policy/rules"
)

// unless is a rule for b.test and c.test with an exception.
func unless(keys string, more ...string) string {
	return "[[rule]]\nname = 'r'\naction = 'force-tls'\n" + strings.Join(more, "\n") + "\n[rule.match]\nrecipient = ['b.test', 'c.test']\n[rule.unless]\n" + keys + "\n"
}

func TestChangesOfExceptions(t *testing.T) {
	for _, tt := range []struct {
		before, after string
		weaker        bool
	}{
		{"", "sender = ['a.test']", true},
		{"sender = ['a.test']", "", false},
		{"sender = ['a.test']", "sender = ['a.test', 'b.test']", true},
		{"sender = ['a.test', 'b.test']", "sender = ['a.test']", false},
		{"sender = ['a.test']\nsubject = ['*x*']", "sender = ['a.test']", true},
		{"sender = ['a.test']", "sender = ['a.test']\nsubject = ['*x*']", false},
		{"size_over = 500", "size_over = 1000", false},
		{"size_over = 1000", "size_over = 500", true},
		{"recipient = ['a.test']", "recipient = ['a.test']\nliterals = true", true},
	} {
		changes := Diff(mustParse(t, unless(tt.before)), mustParse(t, unless(tt.after)))
		if len(changes) != 1 || changes[0].Weaker != tt.weaker {
			t.Errorf("%q -> %q: %+v", tt.before, tt.after, changes)
		}
	}
	longer := func(values string) *rules.Set {
		return mustParse(t, unless("recipient = ['list:open']")+"\n[[list]]\nname = 'open'\nvalues = ["+values+"]\n")
	}
	if c := Diff(longer("'x.test'"), longer("'x.test', 'y.test'")); len(c) != 1 || !c[0].Weaker || !strings.Contains(c[0].Why, "does not protect") {
		t.Errorf("%+v", c)
	}
	if c := Diff(longer("'x.test', 'y.test'"), longer("'x.test'")); len(c) != 1 || c[0].Weaker {
		t.Errorf("%+v", c)
	}
}
