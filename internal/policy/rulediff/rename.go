package rulediff

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// Rename is a rule of the old set that stands in the new one under another name.
type Rename struct{ From, To string }

// Renames finds the rules that were given another name between two sets. What is kept under a rule's name, such as the
// mail hosts it remembers, belongs to the renamed rule.
//
// A rule whose name differs in nothing but upper and lower case is the same rule, whatever else of it changed.
// Otherwise a rename is one rule that is gone and one that is new which agree in every key but name and description.
// Where several of either agree nobody can tell which became which: all of them are in doubt, none is a rename, and
// doubt holds the new rules' names with the old ones they may have been.
func Renames(old, new *rules.Set) (sure []Rename, doubt map[string][]string) {
	after, before := namesOf(new), namesOf(old)
	gone, came := map[string][]string{}, map[string][]string{}
	for i := range old.Rules() {
		r := &old.Rules()[i]
		to, kept := after[strings.ToLower(r.Name)]
		switch {
		case kept && to != r.Name:
			sure = append(sure, Rename{From: r.Name, To: to})
		case !kept:
			gone[substance(r)] = append(gone[substance(r)], r.Name)
		}
	}
	for i := range new.Rules() {
		if r := &new.Rules()[i]; before[strings.ToLower(r.Name)] == "" {
			came[substance(r)] = append(came[substance(r)], r.Name)
		}
	}
	for substance, to := range came {
		switch from := gone[substance]; {
		case len(from) == 1 && len(to) == 1:
			sure = append(sure, Rename{From: from[0], To: to[0]})
		case len(from) > 0:
			if doubt == nil {
				doubt = map[string][]string{}
			}
			for _, name := range to {
				doubt[name] = from
			}
		}
	}
	slices.SortFunc(sure, func(a, b Rename) int { return strings.Compare(a.From, b.From) })
	return sure, doubt
}

// namesOf has the names of a set by their lower case.
func namesOf(s *rules.Set) map[string]string {
	out := map[string]string{}
	for i := range s.Rules() {
		out[strings.ToLower(s.Rules()[i].Name)] = s.Rules()[i].Name
	}
	return out
}

// substance is everything a rule says, apart from what it is called.
func substance(r *rule.Rule) string {
	var b strings.Builder
	for _, s := range r.Settings() {
		if s.Key != "name" && s.Key != "description" {
			fmt.Fprintf(&b, "%s = %s\n", s.Key, s.Value)
		}
	}
	return b.String()
}

// renamed is the change of a rule that has another name and nothing else but perhaps another description.
func renamed(keys []rule.Key, before, after *rule.Rule) Change {
	c := compare(keys, before, after)
	c.Kind, c.Note = Renamed, "rule "+before.Name+" under another name: it keeps the mail hosts it remembers"
	return c
}

// doubtful says why a new rule remembers nothing though an old one was like it.
func doubtful(from []string) string {
	return "may be " + strings.Join(from, " or ") + " under another name; which is not known, so it remembers no " +
		"mail hosts yet"
}
