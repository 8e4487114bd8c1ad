package rule_test

import (
	"errors"
	"strings"
	"testing"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

func TestAssembleSaysWhatStandsInALine(t *testing.T) {
	text, keyOf := rule.Assemble([]rule.Setting{{"name", tomlfile.Quote("a \"b\"\n")}, {"action", tomlfile.Quote("force-tls")}, {"match.recipient", tomlfile.QuoteList([]string{"clinic.test"})},
		{"match.size_over", tomlfile.Quote("10 bananas")}, {"force_tls.min_tls", tomlfile.Quote("2.0")}})
	lines := strings.Split(text, "\n")
	if len(keyOf) != len(lines) {
		t.Fatalf("%d lines, %d keys", len(lines), len(keyOf))
	}
	_, err := rules.Parse("t", []byte(text))
	var broken *rules.ParseError
	if !errors.As(err, &broken) {
		t.Fatalf("%v", err)
	}
	var at []string
	for _, p := range broken.Problems {
		at = append(at, keyOf[p.Line])
	}
	if got := strings.Join(at, " "); got != "name match.size_over force_tls.min_tls" {
		t.Errorf("problems at %q: %v", got, err)
	}
}
