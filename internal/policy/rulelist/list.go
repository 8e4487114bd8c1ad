package rulelist

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulevalue"
)

// What lists one file may hold.
const (
	Max        = 10_000
	MaxEntries = 500_000 // in all lists together
)

// List is a list of addresses and domains with a name: an entry [[list]] of the rules file. Rules name it in sender
// and recipient. Its values stand in the rules, or in a file that is read when the rules are applied: what the
// file held then is kept with the revision, in entries [[content]], so that every gateway and every restart sees the
// same.
type List struct {
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

// Title is what lists of changes and warnings call it. No rule can have that name.
func (l *List) Title() string { return "[[list]] " + l.Name }

// Read reads [[list]] and [[content]], which rules refer to.
func Read(p *tomlfile.Problems, root *tomlfile.Node) []List {
	held := readContents(p, root.Entry("content"))
	e := root.Entry("list")
	if e.Value == nil {
		return nil
	}
	if e.Value.Kind != unstable.Array {
		p.Add(e.At, "list must be a list of lists", "write [[list]], with two brackets")
		return nil
	}
	if len(e.Value.Items) > Max {
		p.Add(e.At, fmt.Sprintf("%d lists, at most %d are allowed", len(e.Value.Items), Max), "")
		return nil
	}
	out := make([]List, 0, len(e.Value.Items))
	lines, entries := tomlfile.LineCounter{Source: p.Source}, 0
	names := map[string]int{} // name in lower case -> line
	for _, item := range e.Value.Items {
		if item.Kind != unstable.Table {
			p.Add(item.At, "a list must be a table, not "+tomlfile.KindName(item.Kind), "write [[list]] above its keys")
			continue
		}
		l := List{Line: lines.At(item.At.Offset)}
		l.read(p, item, held)
		if entries += len(l.Values); entries > MaxEntries {
			p.Add(item.At, fmt.Sprintf("the lists have more than %d values together", MaxEntries),
				"write domains instead of addresses")
			break
		}
		out = append(out, l)
		if l.Name == "" {
			continue
		}
		folded := strings.ToLower(l.Name)
		if line, twice := names[folded]; twice {
			p.Add(item.Get("name").At,
				fmt.Sprintf("the name %s is taken by the list in line %d", tomlfile.Quote(l.Name), line),
				"give every list a name of its own; case does not make a difference")
		}
		names[folded] = l.Line
	}
	return out
}

func (l *List) read(p *tomlfile.Problems, table *tomlfile.Node, held map[string][]string) {
	for _, e := range table.Keys {
		switch e.Key {
		case "name":
			if s, ok := p.Text(e); ok && rulevalue.CheckName(p, "list", e, s) {
				l.Name = s
			}
		case "file":
			if s, ok := p.Text(e); ok && checkListFile(p, e, s) {
				l.File = s
			}
		case "values":
			if e.Value.Kind == unstable.Array && len(e.Value.Items) == 0 {
				p.Add(e.At, "values is an empty list", `write values = ["clinic.test"], or file = "clinics.txt" instead`)
				continue
			}
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
func (l *List) add(value string) (wrong string) {
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
	if strings.HasPrefix(value, rule.ListWord) {
		return "a list names no other list"
	}
	if err := to.AddEntry(value); err != nil {
		return err.Error()
	}
	return ""
}

// sort makes the list ready to be asked.
func (l *List) sort() {
	if l.plain == nil {
		l.plain = &pattern.Addresses{}
	}
	l.plain.Sort()
}
