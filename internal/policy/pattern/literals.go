package pattern

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// How many octets of literal text lead to a rule. Less than the least stands in nearly every text; of more than the
// most only the end is taken, because in a series of patterns the number is usually there, so that long patterns do not
// make large automata.
const (
	leastLiteral = 3
	mostLiteral  = 32
)

// literal is text without which a rule does not match.
type literal struct {
	text string
	rule int32
}

// literals finds which of many literal texts stand in a text, in one walk over it: an automaton of Aho and Corasick. It
// has one state for each different beginning of a literal, at 17 octets, whatever the octets are. It never changes once
// made; the zero value finds nothing.
type literals struct {
	states []state // breadth first: the states that follow one stand together; the last one only ends the list
	labels []byte  // the octet that leads into a state
	starts []int32 // of the rules of a literal in rules; they end where the next ones start
	rules  []int32
}

// state is what has been read of some literal. States are positions, and 0 is nothing.
type state struct {
	next  int32 // the first state that follows by one more octet
	fall  int32 // the longest shorter state that is an end of this one
	ends  int32 // the longest state, this one included, that is an end of this one and a whole literal; 0 for none
	which int32 // the literal that this state is, -1 for none
}

// newLiterals makes the automaton of literals that are not empty. It sorts the slice.
func newLiterals(of []literal) literals {
	slices.SortFunc(of, func(a, b literal) int {
		return cmp.Or(cmp.Compare(a.text, b.text),
			cmp.Compare(a.rule, b.rule))
	})
	var l literals
	var texts []string
	for i, e := range of {
		if i == 0 || e.text != of[i-1].text {
			texts = append(texts, e.text)
			l.starts = append(l.starts, int32(len(l.rules)))
		}
		l.rules = append(l.rules, e.rule)
	}
	l.starts = append(l.starts, int32(len(l.rules)))
	if len(texts) > 0 {
		l.grow(texts)
		l.link()
	}
	l.states, l.labels = slices.Clip(l.states), slices.Clip(l.labels)
	return l
}

// grow makes the states of texts that are sorted and different.
func (l *literals) grow(texts []string) {
	type part struct{ from, to, depth int } // the texts that begin alike, and how many octets that are
	l.labels = []byte{0}
	parts := []part{{0, len(texts), 0}}
	for ; len(parts) > 0; parts = parts[1:] {
		p := parts[0]
		s := state{next: int32(len(l.labels)), which: -1}
		if len(texts[p.from]) == p.depth {
			s.which = int32(p.from)
			p.from++
		}
		l.states = append(l.states, s)
		for from := p.from; from < p.to; {
			to, label := from+1, texts[from][p.depth]
			for to < p.to && texts[to][p.depth] == label {
				to++
			}
			parts, l.labels = append(parts, part{from, to, p.depth + 1}), append(l.labels, label)
			from = to
		}
	}
	l.states = append(l.states, state{next: int32(len(l.labels)), which: -1})
}

// link says of each state where reading goes on when no literal goes on.
func (l *literals) link() {
	for i := range len(l.states) - 1 {
		for n := l.states[i].next; n < l.states[i+1].next; n++ {
			s := &l.states[n]
			if i > 0 {
				s.fall = l.step(l.states[i].fall, l.labels[n])
			}
			if s.ends = n; s.which < 0 {
				s.ends = l.states[s.fall].ends
			}
		}
	}
}

// step returns the state after one more octet.
func (l *literals) step(at int32, c byte) int32 {
	for {
		next := l.states[at].next
		if i := bytes.IndexByte(l.labels[next:l.states[at+1].next], c); i >= 0 {
			return next + int32(i)
		}
		if at == 0 {
			return 0
		}
		at = l.states[at].fall
	}
}

// search is the walk of one message over its texts. A literal is reported once, in however many places it stands.
type search struct {
	*literals
	seen map[int32]bool // states whose literals, and all that are ends of them, were reported
}

// find adds the rules whose literals stand in the text.
func (s *search) find(text string, rules Candidates) {
	if len(s.rules) == 0 {
		return
	}
	at := int32(0)
	for i := range len(text) {
		at = s.step(at, text[i])
		for n := s.states[at].ends; n != 0 && !s.seen[n]; n = s.states[s.states[n].fall].ends {
			if s.seen == nil {
				s.seen = map[int32]bool{}
			}
			s.seen[n] = true
			which := s.states[n].which
			rules.Add(s.rules[s.starts[which]:s.starts[which+1]])
		}
	}
}

// pieces are the parts of a glob between its stars, empty ones at the ends included: with a star there are two or more.
func (g *glob) pieces() [][]rune {
	out := [][]rune{g.head}
	if !g.star {
		return out
	}
	for _, p := range g.inner {
		out = append(out, p.runes)
	}
	return append(out, g.tail)
}

// longestLiteral is the longest text without a wildcard in pieces of a glob, with case folded: it stands in every
// Folded text that fits, because folding goes letter by letter. Of texts of one length it is the last. "" when there is
// none.
func longestLiteral(pieces [][]rune) string {
	longest := ""
	for _, piece := range pieces {
		for len(piece) > 0 {
			end := slices.Index(piece, anyRune)
			if end < 0 {
				end = len(piece)
			}
			if text := strings.Map(foldRune, string(piece[:end])); len(text) >= len(longest) {
				longest = text
			}
			piece = piece[min(end+1, len(piece)):]
		}
	}
	return longest[max(0, len(longest)-mostLiteral):]
}
