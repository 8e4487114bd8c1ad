package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlbound"
)

// What one rules file may hold.
const (
	MaxFile  = tomlbound.MaxSize // bytes
	MaxRules = 100_000
)

// Parse reads a rules file. name stands in error messages; text may be reused afterwards. An error is a *ParseError
// with everything that is wrong, except that nothing else can be found in a text that is no TOML. An empty file is a
// Set without rules.
func Parse(name string, text []byte) (*Set, error) {
	if len(text) > MaxFile {
		return nil, &ParseError{File: name, Problems: []Problem{{Line: 1, Column: 1,
			What: fmt.Sprintf("the file has %d bytes, at most %d are allowed", len(text), MaxFile),
			Hint: "write rules with longer lists instead of many rules"}}}
	}
	p := &problems{source: tomlbound.Unmarked(text)}
	root := parseTree(p)
	if root == nil {
		return nil, p.err(name)
	}
	rules := readFile(p, root)
	if err := p.err(name); err != nil {
		return nil, err
	}
	return compile(rules), nil
}

// readFile reads the top level: nothing but [[rule]].
func readFile(p *problems, root *node) []Rule {
	var rules []Rule
	for _, e := range root.keys {
		switch {
		case e.key != "rule":
			hint := "a rules file holds only [[rule]] and what belongs to it"
			if nearest(e.key, []string{"rule"}) != "" {
				hint = "write [[rule]]"
			}
			p.add(e.at, fmt.Sprintf("unknown key %s", quote(clip(e.key))), hint)
		case e.value.kind != unstable.Array:
			p.add(e.at, "rule must be a list of rules", "write [[rule]], with two brackets")
		case len(e.value.items) > MaxRules:
			p.add(e.at, fmt.Sprintf("%d rules, at most %d are allowed", len(e.value.items), MaxRules),
				"write rules with longer lists instead")
		default:
			rules = readRules(p, e)
		}
	}
	return rules
}

func readRules(p *problems, e entry) []Rule {
	out := make([]Rule, 0, len(e.value.items))
	lines := lineCounter{source: p.source}
	names := map[string]int{} // lower-case name -> line
	for _, item := range e.value.items {
		if item.kind != unstable.Table {
			p.add(item.at, "a rule must be a table, not "+kindName(item.kind), "write [[rule]] above its keys")
			continue
		}
		r := defaultRule()
		r.Line = lines.at(item.at.offset)
		readTable(p, &r, item, "")
		for _, need := range []string{"name", "action"} {
			if item.get(need) == nil {
				p.add(item.at, "the rule has no "+need, "write "+need+" = "+map[string]string{"name": `"..."`, "action": `"force-tls"`}[need])
			}
		}
		if r.Name != "" {
			folded := strings.ToLower(r.Name)
			if line, twice := names[folded]; twice {
				p.add(item.get("name").at, fmt.Sprintf("the name %s is taken by the rule in line %d", quote(r.Name), line),
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
func readTable(p *problems, r *Rule, table *node, section string) {
	for _, e := range table.keys {
		if section == "" && slices.Contains(sections, e.key) {
			if e.value.kind != unstable.Table {
				p.add(e.at, e.key+" must be a table", "write [rule."+e.key+"] above its keys")
				continue
			}
			readTable(p, r, e.value, e.key)
			continue
		}
		if k := findKey(section, e.key); k != nil {
			k.read(p, r, e)
			continue
		}
		where := "[[rule]]"
		if section != "" {
			where = "[rule." + section + "]"
		}
		p.add(e.at, fmt.Sprintf("unknown key %s in %s", quote(clip(e.key)), where), keyHint(section, e.key))
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
		here = append(here, sections...)
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
	if near := nearest(name, here); near != "" {
		return "did you mean " + near + "?"
	}
	return "the keys here are " + strings.Join(here, ", ")
}
