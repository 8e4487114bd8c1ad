package rules

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file in testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", path, got)
	}
}

// mustParse reads rules that are right.
func mustParse(t testing.TB, text string) *Set {
	t.Helper()
	s, err := Parse("rules.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return s
}

// TestParseRefuses reads files that are wrong in many ways and compares everything an administrator is told. Each
// section of the archive is one file; the golden file has the messages.
func TestParseRefuses(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/refused.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range archive.Files {
		_, err := Parse(f.Name, f.Data)
		var parseError *ParseError
		if !errors.As(err, &parseError) {
			t.Errorf("%s: got %v, want a *ParseError", f.Name, err)
			continue
		}
		out.WriteString(err.Error() + "\n\n")
	}
	golden(t, "refused.golden", out.String())
}

func TestParseReportsEveryProblemUpToALimit(t *testing.T) {
	_, err := Parse("r", []byte(strings.Repeat("[[rule]]\n", 60)))
	var parseError *ParseError
	if !errors.As(err, &parseError) || len(parseError.Problems) != 50 || parseError.More != 70 {
		t.Errorf("got %+v", parseError)
	}
	if !strings.HasSuffix(err.Error(), "\nr: 70 more problems") {
		t.Error("the error does not say that there is more")
	}
}

func TestParseRefusesWhatIsTooLarge(t *testing.T) {
	if _, err := Parse("r", make([]byte, MaxFile+1)); err == nil || !strings.Contains(err.Error(), "at most 16777216 are allowed") {
		t.Errorf("a large file: %v", err)
	}
	if _, err := Parse("r", []byte(strings.Repeat("[[rule]]\n", MaxRules+1))); err == nil || !strings.Contains(err.Error(), "100001 rules") {
		t.Errorf("many rules: %v", err)
	}
	for name, text := range map[string]string{
		"deep lists":  "a = " + strings.Repeat("[", 2<<20),
		"deep tables": "a = " + strings.Repeat("{a=", 2<<20),
		"deep keys":   "a" + strings.Repeat(".a", 1<<16) + " = 1",
		"deep header": "[" + "a" + strings.Repeat(".a", 1<<16) + "]",
	} {
		if _, err := Parse("r", []byte(text)); err == nil {
			t.Errorf("%s are accepted", name)
		}
	}
}

func TestParseReadsTheFileOfTheDesign(t *testing.T) {
	text, err := os.ReadFile("testdata/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "full.golden", string(mustParse(t, string(text)).TOML()))
}

func TestParseKnowsEverySpellingOfTOML(t *testing.T) {
	plain := "[[rule]]\nname='a'\naction='force-tls'\n[rule.match]\nsender=['x.test']\n"
	for _, same := range []string{
		"[[rule]]\nname = \"a\"\naction = \"force-tls\"\nmatch.sender = [\"x.test\"]\n",
		"[[rule]]\nname = \"a\"\naction = \"force-tls\"\nmatch = { sender = [\"x.test\"] }\n",
		"rule = [{ name = \"a\", action = \"force-tls\", match = { sender = [\"x.test\"] } }]\n",
		"[[rule]] # comment\n\"name\" = '''a'''\n'action' = \"force\\u002dtls\"\nmatch.\"sender\" = [ # x\n  \"x.test\", # y\n]\n",
		"\r\n[[rule]]\r\nname = \"a\"\r\naction = \"force-tls\"\r\n[rule.match]\r\nsender = [\"x.test\"]\r\n",
	} {
		if got, want := mustParse(t, same).TOML(), mustParse(t, plain).TOML(); string(got) != string(want) {
			t.Errorf("%s\ngives\n%s\nwant\n%s", same, got, want)
		}
	}
}

func TestAnEmptyFileIsASetWithoutRules(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n"} {
		if s := mustParse(t, text); len(s.Rules()) != 0 {
			t.Errorf("%q has rules", text)
		}
	}
}

func TestRulesKnowTheirLine(t *testing.T) {
	s := mustParse(t, "\n[[rule]]\nname='a'\naction='force-tls'\n\n\n[[rule]]\nname='b'\naction='force-tls'\n")
	if a, b := s.Rules()[0].Line, s.Rules()[1].Line; a != 2 || b != 7 {
		t.Errorf("lines %d and %d", a, b)
	}
}

// ruleWith is a file of one rule with these lines in [rule.match].
func ruleWith(match ...string) string {
	return "[[rule]]\nname = 'r'\naction = 'force-tls'\n[rule.match]\n" + strings.Join(match, "\n") + "\n"
}

func TestSizes(t *testing.T) {
	for value, want := range map[string]int64{
		`1`: 1, `1_000`: 1000, `"5"`: 5, `"10MB"`: 10_000_000, `"10 MiB"`: 10 << 20, `"1kb"`: 1000, `"3KiB"`: 3072,
		`"2GB"`: 2_000_000_000, `"1GiB"`: 1 << 30, `"7B"`: 7, `"9223372036854775807"`: 1<<63 - 1,
	} {
		if got := mustParse(t, ruleWith("size_over = "+value)).Rules()[0].Match.SizeOver; got != want {
			t.Errorf("%s is %d, want %d", value, got, want)
		}
	}
	for _, value := range []string{`0`, `-1`, `"-1"`, `1.5`, `"1.5MB"`, `"MB"`, `""`, `"10 M"`, `"9223372036854775808"`, `"9223372037GB"`, `true`, `[]`, `0x10`} {
		if _, err := Parse("r", []byte(ruleWith("size_over = "+value))); err == nil {
			t.Errorf("size_over = %s is accepted", value)
		}
	}
}
