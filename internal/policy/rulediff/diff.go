package rulediff

import (
	"strings"

	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// ChangeKind says how a rule differs between two sets.
type ChangeKind string

// The kinds of change.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
	Renamed ChangeKind = "renamed" // nothing but the name and perhaps the description
)

// Change is one rule that differs between two sets.
type Change struct {
	Rule   string        `json:"rule"`
	Kind   ChangeKind    `json:"kind"`
	Fields []FieldChange `json:"fields,omitempty"`
	// Weaker says that some message may be protected less than before. What cannot be compared, such as two trust
	// files, counts as weaker. Mail that waits keeps its requirement either way.
	Weaker bool   `json:"weaker"`
	Why    string `json:"why,omitempty"` // what makes it weaker
	// Note is what else is to be known about a renamed rule, or one that may be.
	Note string `json:"note,omitempty"`
}

// FieldChange is one key's value before and after, as TOML; "" is unset.
type FieldChange struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Weaker bool   `json:"weaker,omitempty"`
}

// Diff compares two sets by rule name: the rules of the old set that changed or went, in its order, then the new ones.
// A rule that was renamed (see Renames) is one change. Lists follow by their names, and exceptions by their domain.
// The order of rules decides nothing and is not compared. Rules that neither set applies (disabled, under test) cannot
// weaken anything.
func Diff(old, new *rules.Set) []Change {
	after := map[string]*rule.Rule{}
	for i := range new.Rules() {
		after[strings.ToLower(new.Rules()[i].Name)] = &new.Rules()[i]
	}
	known, keys := map[string]bool{}, rule.Keys()
	sure, doubt := Renames(old, new)
	to := map[string]string{}
	for _, r := range sure {
		to[r.From] = strings.ToLower(r.To)
	}
	var out []Change
	for i := range old.Rules() {
		b := &old.Rules()[i]
		name := strings.ToLower(b.Name)
		known[name] = true
		a, ok := after[name]
		if !ok && to[b.Name] != "" {
			known[to[b.Name]] = true
			out = append(out, renamed(keys, b, after[to[b.Name]]))
			continue
		}
		if !ok {
			out = append(out, removed(b))
			continue
		}
		if c := compare(keys, b, a); len(c.Fields) > 0 {
			out = append(out, c)
		}
	}
	for i := range new.Rules() {
		if a := &new.Rules()[i]; !known[strings.ToLower(a.Name)] {
			c := Change{Rule: a.Name, Kind: Added}
			if from := doubt[a.Name]; from != nil {
				c.Note = doubtful(from)
			}
			for _, set := range a.Settings() {
				c.Fields = append(c.Fields, FieldChange{Field: set.Key, After: set.Value})
			}
			out = append(out, c)
		}
	}
	out = append(out, diffLists(old, new)...)
	return append(out, diffExceptions(old.Exceptions(), new.Exceptions())...)
}

func removed(r *rule.Rule) Change {
	c := Change{Rule: r.Name, Kind: Removed, Weaker: r.Effective()}
	if c.Weaker {
		c.Why = "the rule protected mail until now"
	}
	for _, set := range r.Settings() {
		c.Fields = append(c.Fields, FieldChange{Field: set.Key, Before: set.Value})
	}
	return c
}

func compare(keys []rule.Key, before, after *rule.Rule) Change {
	c := Change{Rule: after.Name, Kind: Changed}
	var weaker []string
	for i := range keys {
		k := &keys[i]
		b, a := k.Text(before), k.Text(after)
		if b == a {
			continue
		}
		f := FieldChange{Field: k.Name, Before: b, After: a}
		if before.Effective() && k.Weaker(before, after) {
			f.Weaker = true
			weaker = append(weaker, k.Name)
		}
		c.Fields = append(c.Fields, f)
	}
	if len(weaker) > 0 {
		c.Weaker, c.Why = true, "less may be protected by "+strings.Join(weaker, ", ")
	}
	return c
}
