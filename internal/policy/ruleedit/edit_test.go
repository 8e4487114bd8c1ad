package ruleedit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy/rulediff"
	"postern/internal/policy/rulelist"
	"postern/internal/policy/rules"
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
		if _, err := rules.Parse("t", got); err != nil {
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
		before, _ := rules.Parse("t", []byte(text.String()))
		after, err := rules.Parse("t", got)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s\nbecame\n%s", seed, err, text.String(), got)
		}
		for _, c := range rulediff.Diff(before, after) {
			if c.Rule != fmt.Sprintf("r%d", victim) && c.Rule != "new" {
				t.Fatalf("seed %d: %s changed too: %+v\n%s\nbecame\n%s", seed, c.Rule, c, text.String(), got)
			}
		}
		if len(after.Rules()) != count-1+strings.Count(next, "[[rule]]") {
			t.Fatalf("seed %d: %d rules\n%s", seed, len(after.Rules()), got)
		}
	}
}

const withExceptions = `
[[rule]]
name = "clinic"
action = "force-tls"
match.recipient = ["broken.test"]

# their administrator is on leave
[[exception]]
domain  = "Broken.Test."
ignore  = ["sts", "dane", "sts"]
reason  = "ticket 4711"
expires = 2027-01-31

[[exception]]
domain  = "stale.test"
ignore  = ["dane"]
reason  = "records of the old key"
expires = 2026-12-01T12:00:00Z
`

// A rule in front of an exception is changed and deleted without it.
func TestEditingARuleLeavesExceptionsAlone(t *testing.T) {
	text, err := Edit([]byte(withExceptions), "clinic", "[[rule]]\nname = \"clinic\"\naction = \"force-tls\"\n")
	if err != nil || len(mustParse(t, string(text)).Exceptions()) != 2 || !strings.Contains(string(text), "# their administrator is on leave") {
		t.Errorf("changed: %v\n%s", err, text)
	}
	text, err = Edit([]byte(withExceptions), "clinic", "")
	if err != nil || len(mustParse(t, string(text)).Exceptions()) != 2 || len(mustParse(t, string(text)).Rules()) != 0 {
		t.Errorf("deleted: %v\n%s", err, text)
	}
}

// TestOneExceptionIsEdited: the rest of the file, comments above it included, stays as it was.
func TestOneExceptionIsEdited(t *testing.T) {
	const block = "[[exception]]\ndomain = \"stale.test\"\nignore = [\"sts\"]\nreason = \"new\"\nexpires = 2027-03-01"
	for what, tt := range map[string]struct {
		domain, block string
		left          int
		has, not      string
	}{
		"changed":  {"stale.test", block, 2, "reason = \"new\"", "records of the old key"},
		"added":    {"new.test", strings.Replace(block, "stale", "new", 1), 3, "records of the old key", "\x00"},
		"deleted":  {"stale.test", "", 1, "ticket 4711", "stale.test"},
		"an alias": {"STALE.test", "", 1, "ticket 4711", "stale.test"},
	} {
		text, err := Except([]byte(withExceptions), mail.MustDomain(tt.domain), tt.block)
		set := mustParse(t, string(text))
		if err != nil || len(set.Exceptions()) != tt.left || len(set.Rules()) != 1 || !strings.Contains(string(text), tt.has) ||
			strings.Contains(string(text), tt.not) || !strings.Contains(string(text), "# their administrator is on leave") {
			t.Errorf("%s: %v\n%s", what, err, text)
		}
	}
	if _, err := Except([]byte(withExceptions), mail.MustDomain("none.test"), ""); !errors.Is(err, ErrNoException) {
		t.Errorf("one that is not there: %v", err)
	}
}

// clinics is a file with a list and two rules by it.
const clinics = `# partners
[[list]]
name = "clinics"
values = ["clinic.test", "*.clinic.test", "Dr@Other.test", "bücher.test"]

[[rule]]
name = "to clinics"
action = "force-tls"
[rule.match]
recipient = ["list:Clinics", "one.test"]

[[rule]]
name = "from clinics"
action = "force-tls"
[rule.match]
sender = ["list:clinics"]
`

const byFile = `# our partners
[[list]]
name = "clinics"
file = "clinics.txt"

[[rule]]
name = "to clinics"
action = "force-tls"
[rule.match]
recipient = ["list:clinics"]
`

// filled is a text with what its files hold.
func filled(t *testing.T, text string, files map[string]string) string {
	t.Helper()
	out, err := rulelist.Fill("rules.toml", []byte(text), func(file string) rulelist.File {
		content, ok := files[file]
		if !ok {
			return rulelist.File{Wrong: "there is no such file", Hint: "write it"}
		}
		return rulelist.File{Content: []byte(content)}
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestOneRuleIsEditedBesideLists(t *testing.T) {
	text := filled(t, clinics+"\n"+strings.NewReplacer("clinics", "labs", "to labs", "to the labs").Replace(byFile), map[string]string{"labs.txt": "lab.test\n"})
	out, err := Edit([]byte(text), "to labs", "")
	if err != nil {
		t.Fatal(err)
	}
	if s := mustParse(t, string(out)); len(s.Rules()) != 2 || s.List("labs").Unread || len(s.List("labs").Values) != 1 {
		t.Errorf("%s", out)
	}
	within := mustParse(t, text)
	if _, err := rules.ParseWithin(within, "rule", []byte("[[rule]]\nname = 'x'\naction = 'force-tls'\nmatch.recipient = ['list:labs']\n")); err != nil {
		t.Error(err)
	}
	for _, more := range []string{"[[exception]]\n", "[[list]]\nname = 'labs'\nvalues = ['x.test']\n"} {
		if _, err := rules.ParseWithin(within, "rule", []byte("[[rule]]\nname = 'x'\naction = 'force-tls'\n"+more)); err == nil {
			t.Errorf("%s is taken beside a rule", more)
		}
	}
}

// mustParse reads rules that are right.
func mustParse(t testing.TB, text string) *rules.Set {
	t.Helper()
	s, err := rules.Parse("rules.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return s
}
