package rules

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheManualIsRight parses every example of docs/rules.md and looks for every key in it.
func TestTheManualIsRight(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(manual, -1)
	if len(examples) < 4 {
		t.Errorf("only %d examples found", len(examples))
	}
	for _, e := range examples {
		s := mustParse(t, string(e[1]))
		for _, w := range s.Warnings(now) {
			t.Errorf("an example gives the warning: %s", w.Text)
		}
	}
	for _, k := range keys {
		if !strings.Contains(string(manual), "`"+k.short()+"`") {
			t.Errorf("the manual has no `%s`", k.short())
		}
	}
}
