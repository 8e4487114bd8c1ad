package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// What one rules file may hold.
const (
	MaxFile  = tomlfile.MaxSize // bytes
	MaxRules = 100_000
)

// Parse reads a rules file. name stands in error messages; text may be reused afterwards. An error is a *ParseError
// with everything that is wrong, except that nothing else can be found in a text that is no TOML. An empty file is a
// Set without rules.
func Parse(name string, text []byte) (*Set, error) { return ParseWithin(nil, name, text) }

// ParseWithin is Parse for some rules out of a file: they may name the lists of a set, which are part of the result.
// within may be nil.
func ParseWithin(within *Set, name string, text []byte) (*Set, error) {
	if len(text) > MaxFile {
		return nil, &ParseError{File: name, Problems: []Problem{{Line: 1, Column: 1,
			What: fmt.Sprintf("the file has %d bytes, at most %d are allowed", len(text), MaxFile),
			Hint: "write rules with longer lists instead of many rules"}}}
	}
	p := newProblems(text)
	root := p.tree()
	if root == nil {
		return nil, p.Err(name)
	}
	if within != nil {
		p.within(within, root)
	}
	lists := readLists(p, root)
	if within != nil {
		lists = within.lists
	}
	rules, exceptions := readFile(p, root)
	p.checkLists(rules)
	if err := p.Err(name); err != nil {
		return nil, err
	}
	set := compile(rules, lists...)
	set.contents = p.lists.contents
	set.exceptions, set.excepted = exceptions, map[mail.Domain]*Exception{}
	for i := range exceptions {
		set.excepted[exceptions[i].Domain] = &exceptions[i]
	}
	return set, nil
}

// readFile reads the top level: nothing but [[rule]] and [[exception]].
func readFile(p *problems, root *tomlfile.Node) (rules []Rule, exceptions []Exception) {
	for _, e := range root.Keys {
		switch {
		case e.Key == "exception":
			exceptions = readExceptions(p, e)
		case e.Key == "list", e.Key == "content": // readLists read them
		case e.Key != "rule":
			hint := "a rules file holds only [[rule]], [[list]] and [[exception]], and what belongs to them"
			if near := tomlfile.Slip(e.Key, []string{"rule", "list"}); near != "" {
				hint = "write [[" + near + "]]"
			}
			p.Add(e.At, fmt.Sprintf("unknown key %s", tomlfile.Quote(tomlfile.Clip(e.Key))), hint)
		default:
			rules = readRules(p, e)
		}
	}
	return rules, exceptions
}

// tables are the tables under [[key]], which people call called, at most so many; what is wrong is told, and with too
// many what to write instead.
func tables(p *problems, e tomlfile.Entry, called string, most int, instead string) []*tomlfile.Node {
	switch n := len(e.Value.Items); {
	case e.Value.Kind != unstable.Array:
		p.Add(e.At, e.Key+" must be a list of "+e.Key+"s", "write [["+e.Key+"]], with two brackets")
		return nil
	case n > most:
		p.Add(e.At, fmt.Sprintf("%d %ss, at most %d are allowed", n, e.Key, most), instead)
		return nil
	}
	return slices.DeleteFunc(slices.Clone(e.Value.Items), func(item *tomlfile.Node) bool {
		if item.Kind == unstable.Table {
			return false
		}
		p.Add(item.At, called+" must be a table, not "+tomlfile.KindName(item.Kind),
			"write [["+e.Key+"]] above its keys")
		return true
	})
}

func readRules(p *problems, e tomlfile.Entry) []Rule {
	list := tables(p, e, "a rule", MaxRules, "write rules with longer lists instead")
	out := make([]Rule, 0, len(list))
	lines := lineCounter{source: p.Source}
	names := map[string]int{} // lower-case name -> line
	for _, item := range list {
		r := defaultRule()
		p.lists.rule = len(out)
		r.Line = lines.at(item.At.Offset)
		readTable(p, &r, item, "")
		checkAction(p, &r, item)
		checkReceipt(p, &r, item)
		checkNeeded(p, &r, item)
		checkProof(p, &r, item)
		checkConditions(p, &r, item)
		checkClientProof(p, &r, item)
		for _, need := range []string{"name", "action"} {
			if item.Get(need) == nil {
				p.Add(item.At, "the rule has no "+need,
					"write "+need+" = "+map[string]string{"name": `"..."`, "action": `"force-tls"`}[need])
			}
		}
		if r.Name != "" {
			folded := strings.ToLower(r.Name)
			if line, twice := names[folded]; twice {
				p.Add(item.Get("name").At,
					fmt.Sprintf("the name %s is taken by the rule in line %d", tomlfile.Quote(r.Name), line),
					"give every rule a name of its own; case does not make a difference")
			}
			names[folded] = r.Line
		}
		out = append(out, r)
	}
	return out
}

// lineCounter turns rising offsets into line numbers with one walk over the source.
type lineCounter struct {
	source []byte
	offset int
	lines  int
}

func (c *lineCounter) at(offset int) int {
	for ; c.offset < offset; c.offset++ {
		if c.source[c.offset] == '\n' {
			c.lines++
		}
	}
	return c.lines + 1
}

// readTable reads the keys of a rule or of one of its sections.
func readTable(p *problems, r *Rule, table *tomlfile.Node, section string) {
	for _, e := range table.Keys {
		if section == "" && slices.Contains(sections(), e.Key) {
			if e.Value.Kind != unstable.Table {
				p.Add(e.At, e.Key+" must be a table", "write [rule."+e.Key+"] above its keys")
				continue
			}
			readTable(p, r, e.Value, e.Key)
			continue
		}
		if k := findKey(section, e.Key); k != nil {
			k.read(p, r, e)
			continue
		}
		where := "[[rule]]"
		if section != "" {
			where = "[rule." + section + "]"
		}
		p.Add(e.At, fmt.Sprintf("unknown key %s in %s", tomlfile.Quote(tomlfile.Clip(e.Key)), where),
			keyHint(section, e.Key))
	}
}

func findKey(section, name string) *Key {
	for i := range keys {
		if keys[i].Section() == section && keys[i].Short() == name {
			return &keys[i]
		}
	}
	return nil
}

// keyHint says what an unknown key was probably meant to be.
func keyHint(section, name string) string {
	var here []string
	if section == "" {
		here = append(here, sections()...)
	}
	for _, k := range keys {
		if k.Section() == section {
			here = append(here, k.Short())
		} else if k.Short() == name {
			if k.Section() == "" {
				return name + " belongs directly below [[rule]], above the sections"
			}
			return name + " belongs in [rule." + k.Section() + "]"
		}
	}
	if near := tomlfile.Slip(name, here); near != "" {
		return "did you mean " + near + "?"
	}
	return "the keys here are " + strings.Join(here, ", ")
}
