package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
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

func TestWhatTheFileOfAListMayHold(t *testing.T) {
	for _, tt := range []struct{ name, file, want, wrong string }{
		{"a value a line", "a.test\nb.test\n", "a.test b.test", ""},
		{"no end of line", "a.test", "a.test", ""},
		{"CRLF and a byte order mark", "\ufeffa.test\r\n\r\n*.b.test\r\n", "a.test *.b.test", ""},
		{"comments", "# partners\na.test # the first\n  # more\nb.test\t# second\n", "a.test b.test", ""},
		{"a table with a heading", "domain,contact\na.test,\"Smith, Ann\"\n\"b.test\",x\n", "a.test b.test", ""},
		{"semicolons, as some offices write", "Domain;Since\na.test;2024\n", "a.test", ""},
		{"tabs", "a.test\tyes\n", "a.test", ""},
		{"a quoted local part", "\"dr smith\"@a.test,x\n", `"dr smith"@a.test`, ""},
		{"a quoted local part in a table", `"""dr smith""@a.test",x`, `"dr smith"@a.test`, ""},
		{"a number sign in an address", "dr#1@a.test\n", "dr#1@a.test", ""},
		{"twice", "a.test\na.test\n", "a.test", ""},
		{"nothing", "# nobody yet\n", "", ""},
		{"a pattern", "a.test\ndr*@b.test\n", "a.test dr*@b.test", `line 2: "dr*@b.test": a pattern, which no list holds`},
		{"a slip", "a.test\n\nb test\n", "a.test|b test", `line 3: "b test": not a domain name`},
		{"another encoding", "b\xfccher.test\n", "", "line 1: the file is not UTF-8; save it as UTF-8"},
		{"UTF-16", "\xff\xfea\x00.\x00", "", "line 1: the file is not UTF-8; save it as UTF-8"},
	} {
		values, wrong := ReadListFile([]byte(tt.file))
		sep := " "
		if strings.Contains(tt.want, "|") {
			sep = "|"
		}
		if strings.Join(values, sep) != tt.want || strings.Join(wrong, "\n") != tt.wrong {
			t.Errorf("%s: %q, %q", tt.name, values, wrong)
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
	out, err := Fill("rules.toml", []byte(text), func(file string) ListFile {
		content, ok := files[file]
		if !ok {
			return ListFile{Wrong: "there is no such file", Hint: "write it"}
		}
		return ListFile{Content: []byte(content)}
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
	two := filled(t, one, map[string]string{"clinics.txt": "a.test\nc.test\n"})
	changes := Diff(s, mustParse(t, two))
	if len(changes) != 1 || !changes[0].Weaker || !strings.Contains(changes[0].Fields[0].After, "+ c.test; - b.test") {
		t.Errorf("%+v", changes)
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

func TestWhatIsWrongInAFileIsToldWithItsLine(t *testing.T) {
	_, err := Fill("rules.toml", []byte(byFile), func(string) ListFile { return ListFile{Content: []byte("a.test\nno way\n")} })
	if err == nil || !strings.Contains(err.Error(), `rules.toml:4:8: clinics.txt line 2: "no way": not a domain name`) {
		t.Error(err)
	}
	_, err = Fill("rules.toml", []byte(byFile), func(string) ListFile { return ListFile{Wrong: "no such file", Hint: "write it"} })
	if err == nil || !strings.Contains(err.Error(), `the list's file "clinics.txt" cannot be read: no such file`) {
		t.Error(err)
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

func TestChangesOfLists(t *testing.T) {
	old := mustParse(t, clinics)
	for _, tt := range []struct {
		name, from, to string
		weaker         bool
	}{
		{"shorter", `"*.clinic.test", `, "", true},
		{"longer", `"bücher.test"`, `"bücher.test", "c.test"`, false},
		{"another order", `"clinic.test", "*.clinic.test"`, `"*.clinic.test", "clinic.test"`, false},
	} {
		changes := Diff(old, mustParse(t, strings.Replace(clinics, tt.from, tt.to, 1)))
		if tt.name == "another order" {
			if len(changes) != 0 {
				t.Errorf("%s: %+v", tt.name, changes)
			}
			continue
		}
		if len(changes) != 1 || changes[0].Rule != "[[list]] clinics" || changes[0].Weaker != tt.weaker {
			t.Errorf("%s: %+v", tt.name, changes)
		}
	}
	unused := mustParse(t, clinics+"\n[[list]]\nname = \"spare\"\nvalues = [\"x.test\"]\n")
	if c := Diff(old, unused); len(c) != 1 || c[0].Kind != Added || c[0].Weaker {
		t.Errorf("%+v", c)
	}
	w := unused.Warnings(now)
	if last := w[len(w)-1]; last.Rule != "[[list]] spare" || last.Text != "is named by no rule" {
		t.Errorf("%+v", w)
	}
}

func TestReplaceList(t *testing.T) {
	for _, text := range []string{
		clinics,
		"[[list]]\nname = 'clinics' # ours\nvalues = [ # ] \"\n 'a]', \"b\\\"]\", '''c]''', \"\"\"d]\"\"\" ] # last\n[[list]]\nname='x'\nvalues=['y.test']\n",
	} {
		out, err := ReplaceList([]byte(text), "Clinics", []string{"new.test", `"a b"@x.test`})
		if err != nil {
			t.Fatal(err)
		}
		s := mustParse(t, string(out))
		if got := s.List("clinics").Values; !slices.Equal(got, []string{"new.test", `"a b"@x.test`}) {
			t.Errorf("%q in\n%s", got, out)
		}
		if strings.Count(text, "[[") != strings.Count(string(out), "[[") {
			t.Errorf("something was lost:\n%s", out)
		}
	}
	if _, err := ReplaceList([]byte(clinics), "other", nil); !errors.Is(err, ErrNoList) {
		t.Error(err)
	}
	if _, err := ReplaceList([]byte(byFile), "clinics", []string{"a.test"}); !errors.Is(err, ErrListFile) {
		t.Error(err)
	}
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
	if _, err := ParseWithin(within, "rule", []byte("[[rule]]\nname = 'x'\naction = 'force-tls'\nmatch.recipient = ['list:labs']\n")); err != nil {
		t.Error(err)
	}
	for _, more := range []string{"[[exception]]\n", "[[list]]\nname = 'labs'\nvalues = ['x.test']\n"} {
		if _, err := ParseWithin(within, "rule", []byte("[[rule]]\nname = 'x'\naction = 'force-tls'\n"+more)); err == nil {
			t.Errorf("%s is taken beside a rule", more)
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
	if len(s.book.entries) != 1 {
		t.Errorf("the list is held %d times", len(s.book.entries))
	}
	m := s.newMessage(facts(to("x@nobody.test")))
	if s.evaluate(m); m.examined != 0 {
		t.Errorf("%d rules were looked at", m.examined)
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
	m := s.newMessage(facts(to("x@partner7.test", "y@a.partner8.test")))
	if s.evaluate(m); m.examined != 2 {
		t.Errorf("%d rules were looked at", m.examined)
	}
}
