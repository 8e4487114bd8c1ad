package rules

import (
	"math/bits"
	"strings"
)

// index finds the rules that may match a message without looking at each. Every live rule stands in it by one of its
// conditions, the first of recipient, subject, header, body, attachment, sender, domain and sender_ip whose every value
// says enough to be looked up, or else in always. What it finds is then held against the message: the index decides
// nothing. Rules are positions in Set.live.
type index struct {
	rules               int // in all
	recipients, senders partyIndex
	texts               []literals // of header fields, by position in Set.fields, in values with case folded
	networks            networkIndex
	domains             domainIndex
	always              []int32

	byText bool // some rule stands in texts
}

func newIndex(live []compiled, fields int) index {
	ix := index{rules: len(live)}
	var recipients, senders partyIndexer
	texts := make([][]literal, fields)
	for i := range live {
		switch c, n := &live[i], int32(i); {
		case recipients.add(c.recipient, n):
		case addTexts(texts, c.subjects, n), addTexts(texts, c.headers, n), addTexts(texts, c.bodies, n), addTexts(texts, c.attachments, n):
			ix.byText = true
		case senders.add(c.sender, n):
		case ix.domains.add(c.domain, n):
		case len(c.networks) > 0:
			ix.networks.add(c.networks, n)
		default:
			ix.always = append(ix.always, n)
		}
	}
	ix.recipients, ix.senders = recipients.index(), senders.index()
	for _, t := range texts {
		ix.texts = append(ix.texts, newLiterals(t))
	}
	return ix
}

// addTexts adds a rule by literal text of each of its conditions, or reports that one has none.
func addTexts(texts [][]literal, conditions []headerCondition, rule int32) bool {
	found := make([]string, len(conditions))
	for i := range conditions {
		if g := conditions[i].pattern.glob; g != nil {
			found[i] = longestLiteral(g.pieces())
		}
		if len(found[i]) < leastLiteral {
			return false
		}
	}
	for i, text := range found {
		f := conditions[i].field
		texts[f] = append(texts[f], literal{text, rule})
	}
	return len(found) > 0
}

// find returns the rules that may match.
func (ix *index) find(m *message) candidates {
	found := make(candidates, (ix.rules+63)/64)
	found.add(ix.always)
	ix.senders.find([]party{m.from}, found)
	ix.recipients.find(m.recipients, found)
	ix.networks.find(m.client, found)
	ix.domains.find(m, found)
	if ix.byText {
		ix.findTexts(m, found)
	}
	return found
}

// findTexts looks at header fields. Where they cannot be judged every rule about them may match.
func (ix *index) findTexts(m *message, found candidates) {
	for field := range ix.texts {
		s := search{literals: &ix.texts[field]}
		if m.cut(field) {
			found.add(s.rules)
			continue
		}
		for i, values := 0, m.valuesOf(field); i < len(values); i++ {
			if values[i].doubt != "" {
				found.add(s.rules)
			}
			s.find(values[i].folded, found)
		}
	}
}

// candidates is a set of rules, one bit each.
type candidates []uint64

func (c candidates) add(rules []int32) {
	for _, r := range rules {
		c[r/64] |= 1 << (r % 64)
	}
}

// has reports whether a rule is in the set.
func (c candidates) has(rule int32) bool {
	return int(rule/64) < len(c) && c[rule/64]&(1<<(rule%64)) != 0
}

// all yields the rules in the order of the file.
func (c candidates) all(yield func(int) bool) {
	for i, word := range c {
		for ; word != 0; word &= word - 1 {
			if !yield(i*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// addressIndex maps what an address has, spelled without case, to the rules that ask for it. The zero value finds
// nothing. It never changes and is safe for concurrent use.
type addressIndex struct {
	addresses map[string][]int32
	domains   map[string][]int32
	below     map[string][]int32 // asked with every parent of the domain
	null      []int32
	literals  []int32  // of rules for every address literal
	patterns  literals // in the address with case folded
}

// addressIndexer collects the rules of an addressIndex. The zero value has none.
type addressIndexer struct {
	made     addressIndex
	patterns []literal
}

// add adds a rule by the values of a list, or reports that one of them says too little.
func (ix *addressIndexer) add(l *addressList, rule int32) bool {
	if l == nil {
		return false
	}
	found := make([]literal, len(l.patterns))
	for i := range l.patterns {
		if found[i] = (literal{l.patterns[i].literal(), rule}); len(found[i].text) < leastLiteral {
			return false
		}
	}
	ix.patterns = append(ix.patterns, found...)
	for _, a := range l.addresses {
		ix.made.addresses = file(ix.made.addresses, form(a, false), rule)
	}
	for _, d := range l.domains {
		ix.made.domains = file(ix.made.domains, d, rule)
	}
	for _, d := range l.below {
		ix.made.below = file(ix.made.below, d, rule)
	}
	if l.null {
		ix.made.null = append(ix.made.null, rule)
	}
	if l.literals {
		ix.made.literals = append(ix.made.literals, rule)
	}
	return true
}

func file(m map[string][]int32, key string, rule int32) map[string][]int32 {
	if m == nil {
		m = map[string][]int32{}
	}
	m[key] = append(m[key], rule)
	return m
}

// index returns what was collected. The indexer is not used again.
func (ix *addressIndexer) index() addressIndex {
	ix.made.patterns = newLiterals(ix.patterns)
	return ix.made
}

// lookUp adds the rules that ask for the address or its domain; patterns and the null address are not looked up.
func (ix *addressIndex) lookUp(a *addressForm, rules candidates) {
	if !a.null {
		rules.add(ix.addresses[a.whole.folded])
		ix.findDomain(a.domain, rules)
	}
}

// addressSearch is the walk of one message over its addresses.
type addressSearch struct {
	ix       *addressIndex
	patterns search
	seen     map[string]bool // domains
}

// search begins one.
func (ix *addressIndex) search() addressSearch {
	return addressSearch{ix, search{literals: &ix.patterns}, map[string]bool{}}
}

// find adds the rules that may cover an address.
func (s *addressSearch) find(a *addressForm, rules candidates) {
	if a.null {
		rules.add(s.ix.null)
		return
	}
	rules.add(s.ix.addresses[a.whole.folded])
	if len(s.patterns.rules) > 0 {
		s.patterns.find(a.folded(), rules)
	}
	if !s.seen[a.domain] {
		s.seen[a.domain] = true
		s.ix.findDomain(a.domain, rules)
	}
}

// findDomain adds the rules that may cover addresses of a domain.
func (ix *addressIndex) findDomain(domain string, rules candidates) {
	rules.add(ix.domains[domain])
	if strings.HasPrefix(domain, "[") {
		rules.add(ix.literals)
	}
	if len(ix.below) > 0 {
		for parent := range parents(domain) {
			rules.add(ix.below[parent])
		}
	}
}
