package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/internal/policy/rulelist"
)

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

func TestRulesByList(t *testing.T) {
	s := mustParse(t, clinics)
	for _, tt := range []struct {
		to   string
		want bool
	}{
		{"dr@clinic.test", true}, {"dr@CLINIC.test.", true}, {"dr@lab.clinic.test", true}, {"DR@other.test", true},
		{"x@other.test", false}, {"x@one.test", true}, {"x@xn--bcher-kva.test", true}, {"x@BÜCHER。test", true},
		{"x@notclinic.test", false}, {"x@[192.0.2.1]", false},
	} {
		if got := s.Evaluate(facts(to(tt.to))).Recipients[0].Matched; got != tt.want {
			t.Errorf("%s: %v", tt.to, got)
		}
		explained := s.Explain(facts(to(tt.to))).Rules[0]
		if explained.Matched != tt.want {
			t.Errorf("%s is explained as %+v", tt.to, explained)
		}
		if got := s.Evaluate(facts(from(tt.to))).Recipients[0].Matched; got != (tt.want && tt.to != "x@one.test") {
			t.Errorf("from %s: %v", tt.to, got)
		}
	}
	if d := s.Evaluate(facts(from(""))); d.Recipients[0].Matched {
		t.Error("a list covers the null sender")
	}
	why := s.Explain(facts(to("dr@lab.clinic.test"))).Rules[0].Fields[0].Why
	if want := `"list:Clinics" with "*.clinic.test" covers dr@lab.clinic.test`; why != want {
		t.Errorf("%q", why)
	}
	if users := s.UsersOf("CLINICS"); !slices.Equal(users, []string{"to clinics", "from clinics"}) {
		t.Errorf("used by %q", users)
	}
}

func TestAListKeepsTheCaseOfTheRule(t *testing.T) {
	s := mustParse(t, strings.ReplaceAll(clinics, "sender =", "case = true\nsender ="))
	for from1, want := range map[string]bool{"Dr@other.test": true, "dr@other.test": false, "X@clinic.test": true} {
		if got := s.Evaluate(facts(from(from1))).Recipients[0].Matched; got != want {
			t.Errorf("%s: %v", from1, got)
		}
	}
}

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

func TestWhatTheFileHeldIsKeptWithTheRules(t *testing.T) {
	if s := mustParse(t, byFile); !s.Evaluate(facts(to("x@anybody.test"))).Recipients[0].Matched {
		t.Error("a list that was not read does not count as a match")
	} else if w := s.Warnings(now); len(w) == 0 || !strings.Contains(w[len(w)-1].Text, "has not been read") {
		t.Errorf("%+v", w)
	}
	one := filled(t, byFile, map[string]string{"clinics.txt": "a.test\nb.test\n"})
	if !strings.HasPrefix(one, byFile) {
		t.Errorf("the file was changed:\n%s", one)
	}
	s := mustParse(t, one)
	for to1, want := range map[string]bool{"x@a.test": true, "x@c.test": false} {
		if got := s.Evaluate(facts(to(to1))).Recipients[0].Matched; got != want {
			t.Errorf("%s: %v", to1, got)
		}
	}
	if again := filled(t, one, map[string]string{"clinics.txt": "a.test\nb.test\n"}); again != one {
		t.Errorf("filled again\n%s\nis not\n%s", again, one)
	}
	if mustParse(t, string(s.TOML())).List("clinics").Unread {
		t.Error("what the file held is not printed")
	}
	if values := filled(t, one, map[string]string{"clinics.txt": "# none\n"}); mustParse(t, values).List("clinics").Unread {
		t.Error("an empty file counts as not read")
	}
	bare := filled(t, strings.Replace(one, "file = \"clinics.txt\"\n\n", "values = [\"a.test\"]\n\n", 1), nil)
	if strings.Contains(bare, "[[content]]") {
		t.Errorf("what no list names is kept:\n%s", bare)
	}
}

func TestAListThatIsInUseCannotBeLeftOut(t *testing.T) {
	_, err := Parse("rules.toml", []byte(clinics[strings.Index(clinics, "[[rule]]"):]))
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{`rule "to clinics" uses the list "Clinics"`, `rule "from clinics" uses the list "clinics"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
}

// TestLargeListsAreShared: the rules that use a list share it, and a message is looked up in it once.
func TestLargeListsAreShared(t *testing.T) {
	values := make([]string, 20_000)
	for i := range values {
		values[i] = fmt.Sprintf("%q", fmt.Sprintf("partner%d.test", i))
	}
	text := "[[list]]\nname = 'all'\nvalues = [" + strings.Join(values, ",") + "]\n" +
		many(300, func(i int) string { return fmt.Sprintf("recipient = ['list:all']\nsender = ['s%d.test']", i) })
	s := mustParse(t, text)
	if n := lookedAt(s, facts(to("x@nobody.test"))); n != 0 {
		t.Errorf("%d rules were looked at", n)
	}
}

// TestManyListsAreLookedUpOnce: each rule has a list of its own, and only those that may match are looked at.
func TestManyListsAreLookedUpOnce(t *testing.T) {
	var lists strings.Builder
	const n = 3000
	for i := range n {
		fmt.Fprintf(&lists, "[[list]]\nname = 'l%d'\nvalues = ['partner%d.test', '*.partner%d.test']\n", i, i, i)
	}
	s := mustParse(t, lists.String()+many(n, func(i int) string { return fmt.Sprintf("recipient = ['list:l%d']", i) }))
	if n := lookedAt(s, facts(to("x@partner7.test", "y@a.partner8.test"))); n != 2 {
		t.Errorf("%d rules were looked at", n)
	}
}

func TestAListThatNoRuleNamesIsWarnedOf(t *testing.T) {
	unused := mustParse(t, clinics+"\n[[list]]\nname = \"spare\"\nvalues = [\"x.test\"]\n")
	w := unused.Warnings(now)
	if last := w[len(w)-1]; last.Rule != "[[list]] spare" || last.Text != "is named by no rule" {
		t.Errorf("%+v", w)
	}
}
