package ruleedit

import (
	"strings"
	"testing"

	"postern/internal/policy/rules"
)

// Editors of some systems write a byte order mark at the beginning.
func TestAByteOrderMarkIsSkipped(t *testing.T) {
	const mark = "\ufeff"
	set, err := rules.Parse("r", []byte(mark+block("clinic")))
	if err != nil || len(set.Rules()) != 1 || set.Rules()[0].Line != 1 {
		t.Fatalf("%+v, %v", set, err)
	}
	_, err = rules.Parse("r", []byte(mark+"[[rul]]\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "r:1:3: ") || strings.Contains(err.Error(), "?") {
		t.Errorf("a fault of the first line: %v", err)
	}
	if _, err := rules.Parse("r", []byte(block("clinic")+mark+block("bank"))); err == nil {
		t.Error("a mark in the middle is read")
	}
	for name, c := range map[string]struct{ name, rule, want string }{
		"change": {"clinic", mark + block("bank"), block("bank")},
		"add":    {"", mark + block("bank"), block("clinic") + "\n" + block("bank")},
		"delete": {"clinic", "", ""},
	} {
		if got, err := Edit([]byte(mark+block("clinic")), c.name, c.rule); err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
