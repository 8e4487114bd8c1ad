package rules

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/tools/txtar"

	"postern/internal/mail"
	"postern/internal/policy/pattern"
)

func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/full.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(partners))
	archive, err := txtar.ParseFile("testdata/refused.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("fuzz.toml", text)
		if err != nil {
			var parseError *ParseError
			if !errors.As(err, &parseError) || len(parseError.Problems) == 0 {
				t.Fatalf("error without a problem: %v", err)
			}
			lines := strings.Count(string(text), "\n") + 1
			for _, p := range parseError.Problems {
				if p.Line < 1 || p.Line > lines || p.Column < 1 || p.What == "" || !utf8.ValidString(p.Source) {
					t.Fatalf("problem %+v in %d lines", p, lines)
				}
			}
			return
		}
		printed := s.TOML()
		again, err := Parse("printed.toml", printed)
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, printed)
		}
		if len(s.rules) > 0 && !reflect.DeepEqual(without(s.rules), without(again.rules)) {
			t.Fatalf("%+v\ncame back as\n%+v", s.rules, again.rules)
		}
		s.Warnings(now)
		m := facts(to("a@b.test", "müller@x.a.test"), header("Subject: x", "X-A: y"))
		if !reflect.DeepEqual(s.Evaluate(m), slowly(s, m)) {
			t.Fatal("the index changes the decision")
		}
		s.Explain(m)
	})
}

// FuzzNoSpellingSlipsPastARule holds the promise of design.md §3: however an address is spelled, the rule for its
// canonical form and the rule for its domain match it.
func FuzzNoSpellingSlipsPastARule(f *testing.F) {
	for _, s := range []string{"a@b.test", `"a b"@B.test.`, "A@bücher。test", `"\a"@xn--bcher-kva.test`, "a@[192.0.2.1]", "u\u0308@x.test",
		`"*"@x.test`, "a?b@x.test", "re:x@y.test", `"\\*"@x.test`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := mail.ParseAddress(s)
		if err != nil {
			t.Skip()
		}
		canonical := a.Canonical()
		if strings.HasPrefix(canonical, "re:") {
			t.Skip()
		}
		if err := pattern.CheckAddress(canonical, false); err != nil {
			if strings.ContainsAny(a.Local, "*?") || len(canonical) > 990 || strings.ContainsFunc(canonical, unicode.IsControl) {
				t.Skip() // a pattern, which has rules of its own
			}
			t.Fatalf("the rule %q for %q: %v", canonical, s, err)
		}
		form := pattern.NewAddress(a)
		if !pattern.CompileAddresses([]string{canonical}, false).Match(&form) {
			t.Errorf("the rule %q does not match %q", canonical, s)
		}
		domain := a.Domain.String()
		if err := pattern.CheckAddress(domain, false); err != nil || !pattern.CompileAddresses([]string{domain}, false).Match(&form) {
			t.Errorf("the rule %q does not match %q: %v", a.Domain, s, err)
		}
	})
}
