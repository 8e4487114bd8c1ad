package rulematch

import (
	"fmt"
	"strings"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rule"
)

// because says whether a value, quoted, covers an address.
func because(what, value string, ok bool) string {
	if what == "" {
		what = "<>"
	}
	if !ok {
		return fmt.Sprintf("no value covers %s", what)
	}
	return value + " covers " + what
}

// Addresses is the condition sender or recipient: values of the rule itself, and lists.
type Addresses struct {
	*pattern.Addresses
	lists  []int32 // numbers in the Book
	unread bool    // it names a list that was not read
}

// Party is an address of a message: the sender or a recipient.
type Party struct {
	pattern.Address
	lists pattern.Candidates // the lists that it is in, of those in the book
}

// addresses makes a condition ready, nil for none.
func (c *Compiler) addresses(values []string, caseMatters bool) *Addresses {
	if len(values) == 0 {
		return nil
	}
	out := &Addresses{}
	own := make([]string, 0, len(values))
	for _, value := range values {
		name, is := strings.CutPrefix(value, rule.ListWord)
		if !is {
			own = append(own, value)
			continue
		}
		list := c.book.Find(name)
		if list == nil {
			out.unread = true // Parse saw that it exists
			continue
		}
		out.lists = append(out.lists, c.book.Number(list, caseMatters))
		out.unread = out.unread || list.Unread
	}
	out.Addresses = pattern.NewAddresses(own, caseMatters)
	return out
}

// covers reports whether one of the values covers an address, or one of the lists holds it.
func (c *Addresses) covers(p *Party) bool {
	for _, l := range c.lists {
		if p.lists.Has(l) {
			return true
		}
	}
	return c.Addresses.Match(&p.Address)
}

// Match is covers for a condition that protects: a list that was not read may hold anybody.
func (c *Addresses) Match(p *Party) bool { return c.unread || c.covers(p) }

// covering is the first value of a condition that covers an address, as its author may know it: of a list with the
// value in it.
func (r *Reader) covering(values []string, caseMatters bool, p *Party) (said string, ok bool) {
	for _, value := range values {
		name, is := strings.CutPrefix(value, rule.ListWord)
		if !is {
			if pattern.CompileAddresses([]string{value}, caseMatters).Match(&p.Address) {
				return tomlfile.Quote(value), true
			}
			continue
		}
		l := r.book.Find(name)
		switch {
		case l == nil:
		case l.Unread:
			return tomlfile.Quote(value) + ", whose file was not read, which counts as a match,", true
		default:
			if entry, in := l.Entry(caseMatters, &p.Address); in {
				return tomlfile.Quote(value) + " with " + tomlfile.Quote(entry), true
			}
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
func (ix *partyIndexer) add(l *Addresses, rule int32) bool {
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
func (ix *partyIndex) find(of []Party, rules pattern.Candidates) {
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
