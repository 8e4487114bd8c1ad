package rules

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// What lists one file may hold.
const (
	MaxLists       = 10_000
	MaxListEntries = 500_000 // in all lists together
)

// listWord is what a value of a rule begins with that names a list.
const listWord = "list:"

// NamedList is a list of addresses and domains with a name: an entry [[list]] of the rules file. Rules name it in
// sender and recipient. Its values stand in the rules, or in a file that is read when the rules are applied: what the
// file held then is kept with the revision, in entries [[content]], so that every gateway and every restart sees the
// same.
type NamedList struct {
	Name string
	// File is the path as written, "" where the values stand in the list itself.
	File string
	// Values are addresses, domains and "*.domain", as written.
	Values []string
	// Unread says that the file was not read: who belongs to the list is not known, so everybody counts as a match.
	Unread bool
	Line   int // where it begins in the file

	plain *pattern.Addresses // the values, without case
}

// name is what lists of changes and warnings call it. No rule can have that name.
func (l *NamedList) name() string { return "[[list]] " + l.Name }

// Lists returns the lists in the order of the file. The slice belongs to the Set.
func (s *Set) Lists() []NamedList {
	if s == nil {
		return nil
	}
	return s.lists
}

// List returns the list of a name, in any case; nil for none.
func (s *Set) List(name string) *NamedList {
	if s == nil {
		return nil
	}
	return s.book.byName[strings.ToLower(name)]
}

// UsersOf are the names of the rules that name a list, disabled ones too, in the order of the file.
func (s *Set) UsersOf(list string) []string { return s.users()[strings.ToLower(list)] }

// users are the rules that name a list, by its name in lower case.
func (s *Set) users() map[string][]string {
	out := map[string][]string{}
	for i := range s.rules {
		r := &s.rules[i]
		for _, list := range slices.Compact(
			slices.Sorted(slices.Values(append(r.Match.lists(), r.Unless.lists()...)))) {
			out[list] = append(out[list], r.Name)
		}
	}
	return out
}

// lists are the lists that a condition names, in lower case.
func (m *Match) lists() (out []string) {
	for _, values := range [][]string{m.Sender, m.Recipient} {
		for _, v := range values {
			if name, is := strings.CutPrefix(v, listWord); is {
				out = append(out, strings.ToLower(name))
			}
		}
	}
	return out
}

// listUse is a place where a rule names a list.
type listUse struct {
	list string
	rule int // its number among the rules
	at   tomlfile.Span
}

// knownLists are the lists of a file while it is read.
type knownLists struct {
	byName map[string]*NamedList // by lower-case name
	uses   []listUse
	// contents are the lines at which [[content]] begins.
	contents []int
	rule     int // the number of the rule that is being read
}

// readLists reads [[list]] and [[content]], which rules refer to.
func readLists(p *problems, root *tomlfile.Node) []NamedList {
	held := readContents(p, root.Entry("content"))
	e := root.Entry("list")
	if e.Value == nil {
		return nil
	}
	list := tables(p, e, "a list", MaxLists, "")
	out := make([]NamedList, 0, len(list))
	lines, entries := lineCounter{source: p.Source}, 0
	for _, item := range list {
		l := NamedList{Line: lines.at(item.At.Offset)}
		l.read(p, item, held)
		if entries += len(l.Values); entries > MaxListEntries {
			p.Add(item.At, fmt.Sprintf("the lists have more than %d values together", MaxListEntries),
				"write domains instead of addresses")
			break
		}
		out = append(out, l)
	}
	for i := range out {
		p.known(&out[i], list[i])
	}
	return out
}

// known notes a list by its name, which nothing else may have.
func (p *problems) known(l *NamedList, item *tomlfile.Node) {
	if l.Name == "" {
		return
	}
	if p.lists.byName == nil {
		p.lists.byName = map[string]*NamedList{}
	}
	folded := strings.ToLower(l.Name)
	if other := p.lists.byName[folded]; other != nil && other != l {
		p.Add(item.Get("name").At, fmt.Sprintf("the name %s is taken by the list in line %d", tomlfile.Quote(l.Name),
			other.Line), "give every list a name of its own; case does not make a difference")
	}
	p.lists.byName[folded] = l
}

func (l *NamedList) read(p *problems, table *tomlfile.Node, held map[string][]string) {
	for _, e := range table.Keys {
		switch e.Key {
		case "name":
			if s, ok := p.Text(e); ok && checkListName(p, e, s) {
				l.Name = s
			}
		case "file":
			if s, ok := p.Text(e); ok && checkListFile(p, e, s) {
				l.File = s
			}
		case "values":
			l.Values = p.Strings(e, func(value string, at tomlfile.Span) {
				if err := l.add(value); err != "" {
					p.Add(at, fmt.Sprintf("%s in the list: %s", tomlfile.Quote(tomlfile.Clip(value)), err), listHint)
				}
			})
		default:
			hint := "its keys are name, and values or file"
			if near := tomlfile.Slip(e.Key, []string{"name", "values", "file"}); near != "" {
				hint = "did you mean " + near + "?"
			}
			p.Add(e.At, fmt.Sprintf("unknown key %s in [[list]]", tomlfile.Quote(tomlfile.Clip(e.Key))), hint)
		}
	}
	values, file := table.Get("values"), table.Get("file")
	switch {
	case table.Get("name") == nil:
		p.Add(table.At, "the list has no name", `write name = "clinics"; rules say recipient = ["list:clinics"]`)
	case values != nil && file != nil:
		p.Add(file.At, "the list has both values and file", "write one of them")
	case values == nil && file == nil:
		p.Add(table.At, "the list has neither values nor file",
			`write values = ["clinic.test"] or file = "clinics.txt"`)
	case l.File != "":
		l.Values, l.Unread = held[l.File], true
		if _, known := held[l.File]; known {
			l.Unread = false
		}
		for _, value := range l.Values {
			_ = l.add(value) // readContents told of it
		}
	}
	l.sort()
}

// listHint says what a value of a list may be.
const listHint = "write an address, a domain or *.domain; patterns and re: expressions belong in the rule itself"

// add adds a value to what is looked up, or says what is wrong with it.
func (l *NamedList) add(value string) (wrong string) {
	if l.plain == nil {
		l.plain = &pattern.Addresses{}
	}
	return addEntry(l.plain, value)
}

// addEntry adds a value of a list. A list holds nothing but what can be looked up.
func addEntry(to *pattern.Addresses, value string) (wrong string) {
	if value == "<>" {
		return "the null sender stands in no list"
	}
	if strings.HasPrefix(value, listWord) {
		return "a list names no other list"
	}
	if err := to.AddEntry(value); err != nil {
		return err.Error()
	}
	return ""
}

// sort makes the list ready to be asked.
func (l *NamedList) sort() {
	if l.plain == nil {
		l.plain = &pattern.Addresses{}
	}
	l.plain.Sort()
}

// checkListName asks for a name that a rule can have.
func checkListName(p *problems, e tomlfile.Entry, s string) bool {
	if !validName(s) {
		p.Add(e.Value.At, fmt.Sprintf("%s is no name for a list", tomlfile.Quote(tomlfile.Clip(s))),
			fmt.Sprintf("a name has 1 to %d ASCII letters, digits, blanks and any of ._-/@:+(), and begins with a "+
				"letter or digit", maxName))
		return false
	}
	return true
}

// checkLists tells of lists that rules name and that are not there.
func (p *problems) checkLists(rules []Rule) {
	var names []string
	for _, l := range p.lists.byName {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	for _, u := range p.lists.uses {
		if p.lists.byName[strings.ToLower(u.list)] != nil {
			continue
		}
		who := "a rule"
		if u.rule < len(rules) && rules[u.rule].Name != "" {
			who = "rule " + tomlfile.Quote(rules[u.rule].Name)
		}
		hint := "write [[list]] with this name, or take it out of the rule"
		if near := tomlfile.Slip(u.list, names); near != "" {
			hint = "did you mean " + tomlfile.Quote(listWord+near) + "?"
		}
		p.Add(u.at, fmt.Sprintf("%s uses the list %s, and there is none of that name", who,
			tomlfile.Quote(tomlfile.Clip(u.list))), hint)
	}
}

// print writes a list in its canonical form.
func (l *NamedList) print(b *strings.Builder) {
	fmt.Fprintf(b, "[[list]]\nname = %s\n", tomlfile.Quote(l.Name))
	if l.File != "" {
		fmt.Fprintf(b, "file = %s\n", tomlfile.Quote(l.File))
		return
	}
	printValues(b, l.Values)
}

// printValues writes the values of a list, one a line.
func printValues(b *strings.Builder, values []string) {
	b.WriteString("values = [\n")
	for _, v := range values {
		b.WriteString("  " + tomlfile.Quote(v) + ",\n")
	}
	b.WriteString("]\n")
}

// fields are its keys with their values, shortened, for a list of changes.
func (l *NamedList) fields() []FieldChange {
	values := fmt.Sprintf("%d (%s)", len(l.Values), mail.AtMost(l.Values, 3, ", "))
	if l.Unread {
		values = "not read"
	} else if len(l.Values) == 0 {
		values = "0"
	}
	out := []FieldChange{{Field: "values", After: values}}
	if l.File != "" {
		out = append(out, FieldChange{Field: "file", After: tomlfile.Quote(l.File)})
	}
	return out
}

// within lets rules name the lists of a set. Nothing else may stand beside them.
func (p *problems) within(s *Set, root *tomlfile.Node) {
	for _, e := range root.Keys {
		if e.Key != "rule" {
			p.Add(e.At, tomlfile.Quote(tomlfile.Clip(e.Key))+" cannot stand beside a rule here",
				"change the rules file as a whole")
		}
	}
	p.lists.byName = map[string]*NamedList{}
	for i := range s.lists {
		p.lists.byName[strings.ToLower(s.lists[i].Name)] = &s.lists[i]
	}
}

// printLists writes the lists, and what their files held.
func (s *Set) printLists(b *strings.Builder) {
	blank := func() {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
	}
	for i := range s.lists {
		blank()
		s.lists[i].print(b)
	}
	known := map[string]bool{}
	for i := range s.lists {
		l := &s.lists[i]
		if l.File == "" || l.Unread || known[l.File] {
			continue
		}
		known[l.File] = true
		blank()
		fmt.Fprintf(b, "[[content]]\nfile = %s\n", tomlfile.Quote(l.File))
		printValues(b, l.Values)
	}
}
