package rules

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const edited = `# what this file is for

# the clinic
# asked for it
[[rule]]
name   = "clinic" # theirs
action = "force-tls"
[rule.match]
recipient = ["clinic.test"]

# the bank

  [[ rule ]]
  name = "Bank"
  action = "force-tls"
# the end
`

func block(name string) string {
	return "[[rule]]\nname = \"" + name + "\"\naction = \"force-tls\"\n"
}

func TestEdit(t *testing.T) {
	for name, tt := range map[string]struct{ rule, text, want string }{
		"change": {"CLINIC", block("hospital"), strings.Replace(edited, `[[rule]]
name   = "clinic" # theirs
action = "force-tls"
[rule.match]
recipient = ["clinic.test"]
`, block("hospital"), 1)},
		"change the last": {"bank", block("bank"), strings.Replace(edited, `  [[ rule ]]
  name = "Bank"
  action = "force-tls"
`, block("bank"), 1)},
		"delete": {"clinic", "", strings.Replace(edited, `# the clinic
# asked for it
[[rule]]
name   = "clinic" # theirs
action = "force-tls"
[rule.match]
recipient = ["clinic.test"]

`, "", 1)},
		"add": {"", strings.TrimSpace(block("new")), edited + "\n" + block("new")},
	} {
		got, err := Edit([]byte(edited), tt.rule, tt.text)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, tt.want)
		}
		if _, err := Parse("t", got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := Edit(nil, "", block("first")); err != nil || string(got) != block("first") {
		t.Errorf("the first rule: %q, %v", got, err)
	}
	if _, err := Edit([]byte(edited), "none", ""); !errors.Is(err, ErrNoRule) {
		t.Errorf("a rule that is not there: %v", err)
	}
	inline := `rule = [{ name = "a", action = "force-tls" }, { name = "b", action = "force-tls" }]`
	if _, err := Edit([]byte(inline), "a", block("c")); !errors.Is(err, ErrInline) {
		t.Errorf("rules in a row: %v", err)
	}
	if _, err := Edit([]byte("[[rule]]\n"), "a", ""); err == nil {
		t.Error("a broken file was edited")
	}
}

// A file of rules, comments and blanks in any mixture: an edit changes the rule it names and no other.
func TestEditChangesOneRule(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		var text strings.Builder
		count := 1 + rng.IntN(5)
		for i := range count {
			for range rng.IntN(4) {
				text.WriteString([]string{"\n", "# x\n", "  # [[rule]]\n", "\t\n"}[rng.IntN(4)])
			}
			fmt.Fprintf(&text, "[[rule]]\naction = \"force-tls\"\nname = \"r%d\"\n", i)
			if rng.IntN(2) == 0 {
				text.WriteString("description = \"[[rule]] # no comment\"\n[rule.match]\nrecipient = [\n # a list\n \"a.test\",\n]\n")
			}
		}
		victim := rng.IntN(count)
		next := []string{"", block("new"), block("new") + "[rule.match]\nrecipient = [\"n.test\"]\n"}[rng.IntN(3)]
		got, err := Edit([]byte(text.String()), fmt.Sprintf("R%d", victim), next)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text.String())
		}
		before, _ := Parse("t", []byte(text.String()))
		after, err := Parse("t", got)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s\nbecame\n%s", seed, err, text.String(), got)
		}
		for _, c := range Diff(before, after) {
			if c.Rule != fmt.Sprintf("r%d", victim) && c.Rule != "new" {
				t.Fatalf("seed %d: %s changed too: %+v\n%s\nbecame\n%s", seed, c.Rule, c, text.String(), got)
			}
		}
		if len(after.Rules()) != count-1+strings.Count(next, "[[rule]]") {
			t.Fatalf("seed %d: %d rules\n%s", seed, len(after.Rules()), got)
		}
	}
}
