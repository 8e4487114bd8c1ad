package pattern

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/internal/lab/testkit/chance"
)

// TestLiteralsFindWhatStandsInAText holds the automaton against a search for each literal.
func TestLiteralsFindWhatStandsInAText(t *testing.T) {
	d := chance.Roll(t)
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(chance.Pick(d, "a", "b", "ab", "\xff", "\x00"))
		}
		return b.String()
	}
	for range chance.Rounds() {
		var all []literal
		for i := range d.IntN(40) {
			all = append(all, literal{word(1 + d.IntN(6)), int32(i)})
		}
		given := slices.Clone(all)
		l := newLiterals(all)
		s, got, want := search{literals: &l}, make(Candidates, 1), make(Candidates, 1)
		for range 1 + d.IntN(3) {
			text := word(d.IntN(12))
			s.find(text, got)
			for _, e := range given {
				if strings.Contains(text, e.text) {
					want.Add([]int32{e.rule})
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%q: found %b, want %b of %q", text, got, want, given)
			}
		}
	}
}

// TestLiteralsTakeMemoryByTheirLength counts states: no more than octets of literals.
func TestLiteralsTakeMemoryByTheirLength(t *testing.T) {
	var ix TextIndexer
	for i := range 1000 {
		p, err := CompileText(fmt.Sprintf("*%s%d*", strings.Repeat("long ", 100), i), false)
		if err != nil {
			t.Fatal(err)
		}
		ix.Add(&p, int32(i))
	}
	l := ix.Index().literals
	if most := 1000*mostLiteral + 2; len(l.states) > most || len(l.labels) > most || len(l.rules) != 1000 {
		t.Errorf("%d states and %d labels for %d rules, want at most %d", len(l.states), len(l.labels), len(l.rules), most)
	}
}
