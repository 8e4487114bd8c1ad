package pattern

import "strings"

// AddressIndex maps what an address has, spelled without case, to the rules that ask for it. The zero value finds
// nothing. It never changes and is safe for concurrent use.
type AddressIndex struct {
	addresses map[string][]int32
	domains   map[string][]int32
	below     map[string][]int32 // asked with every parent of the domain
	null      []int32
	literals  []int32  // of rules for every address literal
	patterns  literals // in the address with case folded
}

// AddressIndexer collects the rules of an AddressIndex. The zero value has none.
type AddressIndexer struct {
	made     AddressIndex
	patterns []literal
}

// Add adds a rule by the values of a list, or reports that one of them says too little.
func (ix *AddressIndexer) Add(l *Addresses, rule int32) bool {
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
	for _, d := range l.Domains {
		ix.made.domains = file(ix.made.domains, d, rule)
	}
	for _, d := range l.below {
		ix.made.below = file(ix.made.below, d, rule)
	}
	if l.Null {
		ix.made.null = append(ix.made.null, rule)
	}
	if l.Literals {
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

// Index returns what was collected. The indexer is not used again.
func (ix *AddressIndexer) Index() AddressIndex {
	ix.made.patterns = newLiterals(ix.patterns)
	return ix.made
}

// Find adds the rules that may cover one of the addresses.
func (ix *AddressIndex) Find(addresses []Address, rules Candidates) {
	s := search{literals: &ix.patterns}
	seen := map[string]bool{}
	for i := range addresses {
		a := &addresses[i]
		if a.null {
			rules.Add(ix.null)
			continue
		}
		rules.Add(ix.addresses[a.whole.Folded])
		if len(s.rules) > 0 {
			s.find(a.folded(), rules)
		}
		if !seen[a.domain] {
			seen[a.domain] = true
			ix.findDomain(a.domain, rules)
		}
	}
}

// findDomain adds the rules that may cover addresses of a domain.
func (ix *AddressIndex) findDomain(domain string, rules Candidates) {
	rules.Add(ix.domains[domain])
	if strings.HasPrefix(domain, "[") {
		rules.Add(ix.literals)
	}
	if len(ix.below) > 0 {
		for parent := range parents(domain) {
			rules.Add(ix.below[parent])
		}
	}
}
