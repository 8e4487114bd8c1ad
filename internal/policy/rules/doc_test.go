package rules

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/internal/policy/rule"
)

const manual = "../../../docs/rules.md"

// made is what the grammar makes of a part of the manual: the table of a section, or a rule with every key.
func made(part string) string {
	var b strings.Builder
	switch part {
	case "example":
		b.WriteString("```toml\n[[rule]]\n")
	case "match":
		b.WriteString("| key | holds when |\n|---|---|\n")
	default:
		b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	}
	section := ""
	for _, k := range rule.Keys() {
		switch {
		case part == "example" && !(k.Of(rule.ForceTLSAction) && k.Fits(rule.Outbound)):
		case part == "example" && k.Section() == "unless" && k.Short() != "recipient": // as in [rule.match]
		case part == "example":
			if k.Section() != section {
				section = k.Section()
				fmt.Fprintf(&b, "\n[rule.%s]\n", section)
			}
			fmt.Fprintf(&b, "%s = %s\n", k.Short(), k.Example)
		case part == "match" && k.Section() == part:
			fmt.Fprintf(&b, "| `%s` | %s |\n", k.Short(), k.Doc)
		case k.Section() == strings.TrimPrefix(part, "rule"):
			fmt.Fprintf(&b, "| `%s` |%s | %s |\n", k.Short(), initial(&k), k.Doc)
		}
	}
	if part == "example" {
		b.WriteString("```\n")
	}
	return b.String()
}

// initial is what stands for the default of a key.
func initial(k *rule.Key) string {
	r := rule.Default()
	switch text := k.Text(&r); {
	case k.Default != "":
		return " " + k.Default
	case text != "":
		return " `" + text + "`"
	}
	return ""
}

// TestTheManualIsMadeOfTheGrammar: go test ./internal/policy/rules -run Manual -update writes it anew.
func TestTheManualIsMadeOfTheGrammar(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile(`(?s)(<!-- made of keys.go: (\w+) -->\n).*?(<!-- end -->)`)
	want := parts.ReplaceAllStringFunc(string(text), func(old string) string {
		m := parts.FindStringSubmatch(old)
		return m[1] + made(m[2]) + m[3]
	})
	if n := strings.Count(want, "<!-- end -->"); n != len(sections())-1+2 { // [rule.unless] has the keys of [rule.match]
		t.Errorf("%d parts are made of the grammar", n)
	}
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Error("docs/rules.md is not what keys.go says; run: go test ./internal/policy/rules -run Manual -update")
	}
}

// TestTheManualIsRight parses every example of docs/rules.md and looks for every key in it.
func TestTheManualIsRight(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(examples) < 3 {
		t.Errorf("only %d examples found", len(examples))
	}
	for _, e := range examples {
		s := mustParse(t, string(e[1]))
		for _, w := range s.Warnings(now) {
			t.Errorf("an example gives the warning: %s", w.Text)
		}
	}
	for _, k := range rule.Keys() {
		if !strings.Contains(string(text), "`"+k.Short()+"`") {
			t.Errorf("the manual has no `%s`", k.Short())
		}
	}
}

// sections are the tables inside a rule.
func sections() (out []string) {
	for _, k := range rule.Keys() {
		if s := k.Section(); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
