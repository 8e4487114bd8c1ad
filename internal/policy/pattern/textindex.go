package pattern

// TextIndexer collects rules by literal text of their patterns. The zero value has none.
type TextIndexer struct{ made []literal }

// Add adds a rule by the literal text of a pattern, which must be Telling.
func (ix *TextIndexer) Add(p *Text, rule int32) {
	ix.made = append(ix.made, literal{p.literal(), rule})
}

// Index returns what was collected. The indexer is not used again.
func (ix *TextIndexer) Index() TextIndex { return TextIndex{newLiterals(ix.made)} }

// TextIndex finds the rules whose literal text stands in the values of a field. The zero value finds nothing. It never
// changes and is safe for concurrent use.
type TextIndex struct{ literals literals }

// All adds every rule of the index: the field cannot be judged.
func (ix *TextIndex) All(rules Candidates) { rules.Add(ix.literals.rules) }

// Find adds the rules that may fit one of the values.
func (ix *TextIndex) Find(values []Value, rules Candidates) {
	s := search{literals: &ix.literals}
	for i := range values {
		if values[i].Doubt != "" {
			ix.All(rules)
		}
		s.find(values[i].Folded, rules)
	}
}

// Telling reports whether a pattern has enough literal text to be found by an index.
func (p *Text) Telling() bool { return len(p.literal()) >= leastLiteral }

// literal is text that stands in every value that fits, with case folded; "" when none is known.
func (p *Text) literal() string {
	if p.glob == nil {
		return ""
	}
	return longestLiteral(p.glob.pieces())
}
