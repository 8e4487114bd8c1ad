package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rulevalue"
)

// Read reads all rules of a file, the value of its key rule.
func Read(p *Problems, e tomlfile.Entry) []Rule {
	out := make([]Rule, 0, len(e.Value.Items))
	lines := tomlfile.LineCounter{Source: p.Source}
	names := map[string]int{} // lower-case name -> line
	for _, item := range e.Value.Items {
		if item.Kind != unstable.Table {
			p.Add(item.At, "a rule must be a table, not "+tomlfile.KindName(item.Kind), "write [[rule]] above its keys")
			continue
		}
		r := Default()
		p.rule = len(out)
		r.Line = lines.At(item.At.Offset)
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

// readTable reads the keys of a rule or of one of its sections.
func readTable(p *Problems, r *Rule, table *tomlfile.Node, section string) {
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

func checkRuleName(p *tomlfile.Problems, e tomlfile.Entry, s string) bool {
	return rulevalue.CheckName(p, "rule", e, s)
}
