package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulelist"
)

// Lists returns the lists in the order of the file. The slice belongs to the Set.
func (s *Set) Lists() []rulelist.List {
	if s == nil {
		return nil
	}
	return s.lists
}

// List returns the list of a name, in any case; nil for none.
func (s *Set) List(name string) *rulelist.List {
	if s == nil {
		return nil
	}
	return s.reader.List(name)
}

// UsersOf are the names of the rules that name a list, disabled ones too, in the order of the file.
func (s *Set) UsersOf(list string) []string { return s.users()[strings.ToLower(list)] }

// users are the rules that name a list, by its name in lower case.
func (s *Set) users() map[string][]string {
	out := map[string][]string{}
	for i := range s.rules {
		r := &s.rules[i]
		for _, list := range slices.Compact(
			slices.Sorted(slices.Values(append(r.Match.Lists(), r.Unless.Lists()...)))) {
			out[list] = append(out[list], r.Name)
		}
	}
	return out
}

// checkLists tells of lists that rules name and that are not there.
func checkLists(p *rule.Problems, rules []rule.Rule, lists []rulelist.List) {
	known := make(map[string]string, len(lists)) // by name in lower case
	for i := range lists {
		known[strings.ToLower(lists[i].Name)] = lists[i].Name
	}
	names := slices.Sorted(maps.Values(known))
	for _, u := range p.Lists {
		if _, there := known[strings.ToLower(u.List)]; there {
			continue
		}
		who := "a rule"
		if u.Rule < len(rules) && rules[u.Rule].Name != "" {
			who = "rule " + tomlfile.Quote(rules[u.Rule].Name)
		}
		hint := "write [[list]] with this name, or take it out of the rule"
		if p.NoLists {
			hint = "take it out of the rule: there are no lists that it may name"
		} else if near := tomlfile.Slip(u.List, names); near != "" {
			hint = "did you mean " + tomlfile.Quote(rule.ListWord+near) + "?"
		}
		p.Add(u.At, fmt.Sprintf("%s uses the list %s, and there is none of that name", who,
			tomlfile.Quote(tomlfile.Clip(u.List))), hint)
	}
}

// checkAlone refuses everything but rules, which may name the lists of a set.
func checkAlone(p *rule.Problems, root *tomlfile.Node) {
	for _, e := range root.Keys {
		if e.Key != "rule" {
			p.Add(e.At, tomlfile.Quote(tomlfile.Clip(e.Key))+" cannot stand beside a rule here",
				"change the rules file as a whole")
		}
	}
}
