package rules

import (
	"strings"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// listEntries is a list made ready for the rules that name it with or without case. They share it: 100,000 entries are
// held once, however many rules there are, and are looked up once for each address of a message.
type listEntries struct {
	list   *NamedList
	values *pattern.Addresses
}

// listBook holds the lists of a Set that its live rules name, and finds those that an address is in.
type listBook struct {
	entries []listEntries
	numbers map[string]int        // by name in lower case, and whether case matters
	byName  map[string]*NamedList // all lists, by name in lower case
	index   pattern.AddressIndex  // of values without case, its rules are positions in entries
}

// addressCondition is the condition sender or recipient: values of the rule itself, and lists.
type addressCondition struct {
	*pattern.Addresses
	lists  []int32 // positions in listBook.entries
	unread bool    // it names a list that was not read
}

// party is an address of a message: the sender or a recipient.
type party struct {
	pattern.Address
	lists pattern.Candidates // the lists that it is in, of those in the book
}

// addresses makes a condition ready, nil for none.
func (c *compiler) addresses(values []string, caseMatters bool) *addressCondition {
	if len(values) == 0 {
		return nil
	}
	out := &addressCondition{}
	own := make([]string, 0, len(values))
	for _, value := range values {
		name, is := strings.CutPrefix(value, listWord)
		if !is {
			own = append(own, value)
			continue
		}
		number, ok := c.book.number(name, caseMatters)
		if !ok {
			out.unread = true // Parse saw that it exists
			continue
		}
		out.lists = append(out.lists, number)
		out.unread = out.unread || c.book.entries[number].list.Unread
	}
	out.Addresses = pattern.NewAddresses(own, caseMatters)
	return out
}

// newListBook is a book that knows the lists.
func newListBook(lists []NamedList) listBook {
	b := listBook{byName: make(map[string]*NamedList, len(lists))}
	for i := range lists {
		b.byName[strings.ToLower(lists[i].Name)] = &lists[i]
	}
	return b
}

// number is the position of a list in the book, where it is put when it is not there.
func (b *listBook) number(name string, caseMatters bool) (int32, bool) {
	key := strings.ToLower(name)
	l := b.byName[key]
	if l == nil {
		return 0, false
	}
	if caseMatters {
		key += "\x00"
	}
	if b.numbers == nil {
		b.numbers = map[string]int{}
	}
	n := number(b.numbers, key)
	if n == len(b.entries) {
		e := listEntries{l, l.plain}
		if caseMatters && len(l.Values) > 0 {
			e.values = pattern.CompileAddresses(l.Values, true)
		}
		b.entries = append(b.entries, e)
	}
	return int32(n), true
}

// make makes the book's index.
func (b *listBook) make() {
	var of pattern.AddressIndexer
	for i, e := range b.entries {
		of.Add(e.values, int32(i))
	}
	b.index = of.Index()
}

// of returns the lists that an address is in.
func (b *listBook) of(a *pattern.Address) pattern.Candidates {
	if len(b.entries) == 0 {
		return nil
	}
	found := make(pattern.Candidates, (len(b.entries)+63)/64)
	b.index.LookUp(a, found)
	for i := range found.All {
		if !b.entries[i].values.Match(a) { // such as by case
			found[i/64] &^= 1 << (i % 64)
		}
	}
	return found
}

// covers reports whether one of the values covers an address, or one of the lists holds it.
func (c *addressCondition) covers(p *party) bool {
	for _, l := range c.lists {
		if p.lists.Has(l) {
			return true
		}
	}
	return c.Addresses.Match(&p.Address)
}

// match is covers for a condition that protects: a list that was not read may hold anybody.
func (c *addressCondition) match(p *party) bool { return c.unread || c.covers(p) }

// covering is the first value of a condition that covers an address, as its author may know it: of a list with the
// value in it.
func (s *Set) covering(values []string, caseMatters bool, p *party) (said string, ok bool) {
	for _, value := range values {
		name, is := strings.CutPrefix(value, listWord)
		if !is {
			if pattern.CompileAddresses([]string{value}, caseMatters).Match(&p.Address) {
				return tomlfile.Quote(value), true
			}
			continue
		}
		l := s.List(name)
		switch {
		case l == nil:
		case l.Unread:
			return tomlfile.Quote(value) + ", whose file was not read, which counts as a match,", true
		default:
			if entry, in := l.entry(caseMatters, &p.Address); in {
				return tomlfile.Quote(value) + " with " + tomlfile.Quote(entry), true
			}
		}
	}
	return "", false
}

// entry is the value of a list that covers an address.
func (l *NamedList) entry(caseMatters bool, a *pattern.Address) (value string, ok bool) {
	if !l.plain.Match(a) {
		return "", false
	}
	for _, v := range l.Values {
		if pattern.CompileAddresses([]string{v}, caseMatters).Match(a) {
			return v, true
		}
	}
	return "", false
}

// partyIndex finds the rules whose conditions name an address, or a list that it is in.
type partyIndex struct {
	addresses pattern.AddressIndex
	lists     map[int32][]int32 // by the position of a list in the book
}

// partyIndexer collects the rules of a partyIndex.
type partyIndexer struct {
	addresses pattern.AddressIndexer
	lists     map[int32][]int32
}

// add adds a rule by a condition, or reports that it says too little.
func (ix *partyIndexer) add(l *addressCondition, rule int32) bool {
	if l == nil || l.unread || !ix.addresses.Add(l.Addresses, rule) {
		return false
	}
	for _, list := range l.lists {
		if ix.lists == nil {
			ix.lists = map[int32][]int32{}
		}
		ix.lists[list] = append(ix.lists[list], rule)
	}
	return true
}

func (ix *partyIndexer) index() partyIndex { return partyIndex{ix.addresses.Index(), ix.lists} }

// find adds the rules that may cover one of the addresses.
func (ix *partyIndex) find(of []party, rules pattern.Candidates) {
	s := ix.addresses.Search()
	for i := range of {
		s.Find(&of[i].Address, rules)
		if len(ix.lists) > 0 {
			for list := range of[i].lists.All {
				rules.Add(ix.lists[int32(list)])
			}
		}
	}
}
