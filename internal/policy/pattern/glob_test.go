package pattern

import (
	"testing"

	"postern/internal/lab/testkit/chance"
)

func TestGlobAgreesWithAPlainMatcher(t *testing.T) {
	alphabet := []string{"a", "b", "*", "?", "ü", "*"}
	texts := []string{""}
	for i := 0; i < len(texts) && len(texts) < 400; i++ {
		for _, c := range []string{"a", "b", "ü"} {
			texts = append(texts, texts[i]+c)
		}
	}
	patterns := []string{""}
	for i := 0; i < len(patterns) && len(patterns) < 3000; i++ {
		for _, c := range alphabet {
			patterns = append(patterns, patterns[i]+c)
		}
	}
	for _, p := range patterns {
		g, err := compileGlob(p, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range texts {
			if got, want := g.match(s), slowGlob([]rune(p), []rune(s)); got != want {
				t.Fatalf("%q on %q: got %v, want %v", p, s, got, want)
			}
		}
	}
}

// slowGlob is the definition: try everything.
func slowGlob(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '*':
		return slowGlob(p[1:], s) || len(s) > 0 && slowGlob(p, s[1:])
	}
	return len(s) > 0 && (p[0] == '?' || p[0] == s[0]) && slowGlob(p[1:], s[1:])
}

// The look at grams before a pattern is held against a text only saves time.
func TestGramsChangeNoMatch(t *testing.T) {
	d, hits := chance.Roll(t), 0
	for range chance.Rounds() * 10 {
		p, err := CompileText(d.Pattern(), d.IntN(2) == 0)
		if err != nil || p.glob == nil {
			continue
		}
		text := d.Text()
		v := Value{Plain: text, formed: newFormed(text)}
		v.grams.add(v.Exact)
		v.grams.add(v.Folded)
		for _, caseMatters := range []bool{true, false} {
			got := p.Match(&v, caseMatters)
			slow := Text{glob: &glob{head: p.glob.head, tail: p.glob.tail, inner: p.glob.inner, star: p.glob.star}}
			if want := slow.Match(&v, caseMatters); got != want {
				t.Fatalf("%q on %q: got %v, want %v", p.Source, text, got, want)
			} else if got {
				hits++
			}
		}
	}
	if hits < 100 {
		t.Errorf("only %d matches: the law was hardly tried", hits)
	}
}
