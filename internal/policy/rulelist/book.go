package rulelist

import (
	"strings"

	"postern/internal/policy/pattern"
)

// Book holds the lists that rules name, each made ready with or without case, and finds those that an address is in.
// The rules share them: 100,000 values are held once, however many rules there are, and are looked up once for each
// address of a message.
type Book struct {
	entries []*pattern.Addresses
	numbers map[string]int       // by name in lower case, and whether case matters
	byName  map[string]*List     // all lists, by name in lower case
	index   pattern.AddressIndex // of values without case, its rules are positions in entries
}

// NewBook is a book that knows the lists.
func NewBook(lists []List) Book {
	b := Book{byName: make(map[string]*List, len(lists))}
	for i := range lists {
		b.byName[strings.ToLower(lists[i].Name)] = &lists[i]
	}
	return b
}

// Find returns the list of a name, in any case; nil for none.
func (b *Book) Find(name string) *List { return b.byName[strings.ToLower(name)] }

// Number is the position of a list in the book, where it is put when it is not there.
func (b *Book) Number(l *List, caseMatters bool) int32 {
	key := strings.ToLower(l.Name)
	if caseMatters {
		key += "\x00"
	}
	if b.numbers == nil {
		b.numbers = map[string]int{}
	}
	n, known := b.numbers[key]
	if !known {
		n = len(b.entries)
		b.numbers[key] = n
		values := l.plain
		if caseMatters && len(l.Values) > 0 {
			values = pattern.CompileAddresses(l.Values, true)
		}
		b.entries = append(b.entries, values)
	}
	return int32(n)
}

// Make makes the book's index.
func (b *Book) Make() {
	var of pattern.AddressIndexer
	for i, values := range b.entries {
		of.Add(values, int32(i))
	}
	b.index = of.Index()
}

// Of returns the lists that an address is in.
func (b *Book) Of(a *pattern.Address) pattern.Candidates {
	if len(b.entries) == 0 {
		return nil
	}
	found := make(pattern.Candidates, (len(b.entries)+63)/64)
	b.index.LookUp(a, found)
	for i := range found.All {
		if !b.entries[i].Match(a) { // such as by case
			found[i/64] &^= 1 << (i % 64)
		}
	}
	return found
}

// Entry is the value of a list that covers an address.
func (l *List) Entry(caseMatters bool, a *pattern.Address) (value string, ok bool) {
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
