package rules

import (
	"errors"
	"strings"
	"testing"
)

func TestAssembleSaysWhatStandsInALine(t *testing.T) {
	text, keyOf := Assemble([]Setting{{"name", quote("a \"b\"\n")}, {"action", quote("force-tls")}, {"match.recipient", quoteList([]string{"clinic.test"})},
		{"match.size_over", quote("10 bananas")}, {"force_tls.min_tls", quote("2.0")}})
	lines := strings.Split(text, "\n")
	if len(keyOf) != len(lines) {
		t.Fatalf("%d lines, %d keys", len(lines), len(keyOf))
	}
	_, err := Parse("t", []byte(text))
	var broken *ParseError
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
