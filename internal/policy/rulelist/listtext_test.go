package rulelist_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"postern/internal/policy/rulelist"
	"postern/internal/policy/rules"
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
		values, wrong := rulelist.ReadFile([]byte(tt.file))
		sep := " "
		if strings.Contains(tt.want, "|") {
			sep = "|"
		}
		if strings.Join(values, sep) != tt.want || strings.Join(wrong, "\n") != tt.wrong {
			t.Errorf("%s: %q, %q", tt.name, values, wrong)
		}
	}
}

func TestWhatIsWrongInAFileIsToldWithItsLine(t *testing.T) {
	_, err := rulelist.Fill("rules.toml", []byte(byFile), func(string) rulelist.File { return rulelist.File{Content: []byte("a.test\nno way\n")} })
	if err == nil || !strings.Contains(err.Error(), `rules.toml:4:8: clinics.txt line 2: "no way": not a domain name`) {
		t.Error(err)
	}
	_, err = rulelist.Fill("rules.toml", []byte(byFile), func(string) rulelist.File { return rulelist.File{Wrong: "no such file", Hint: "write it"} })
	if err == nil || !strings.Contains(err.Error(), `the list's file "clinics.txt" cannot be read: no such file`) {
		t.Error(err)
	}
}

func TestReplaceList(t *testing.T) {
	for _, text := range []string{
		clinics,
		"[[list]]\nname = 'clinics' # ours\nvalues = [ # ] \"\n 'a]', \"b\\\"]\", '''c]''', \"\"\"d]\"\"\" ] # last\n[[list]]\nname='x'\nvalues=['y.test']\n",
	} {
		out, err := rulelist.Replace([]byte(text), "Clinics", []string{"new.test", `"a b"@x.test`})
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
	if _, err := rulelist.Replace([]byte(clinics), "other", nil); !errors.Is(err, rulelist.ErrNoList) {
		t.Error(err)
	}
	if _, err := rulelist.Replace([]byte(byFile), "clinics", []string{"a.test"}); !errors.Is(err, rulelist.ErrFromFile) {
		t.Error(err)
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
