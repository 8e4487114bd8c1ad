package rulediff

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rulelist"
	"postern/internal/policy/rules"
)

// diffLists compares lists by name. A list that a rule protects by is weaker when it loses a value, one that a rule
// makes an exception for when it gains one.
func diffLists(old, new *rules.Set) (out []Change) {
	kept := map[string]bool{}
	for i := range new.Lists() {
		l := &new.Lists()[i]
		kept[strings.ToLower(l.Name)] = true
		was := old.List(l.Name)
		if was == nil {
			out = append(out, Change{Rule: l.Title(), Kind: Added, Fields: listFields(l)})
			continue
		}
		if c := changedList(was, l, old); len(c.Fields) > 0 {
			out = append(out, c)
		}
	}
	for i := range old.Lists() {
		l := &old.Lists()[i]
		if kept[strings.ToLower(l.Name)] {
			continue
		}
		c := Change{Rule: l.Title(), Kind: Removed}
		for _, f := range listFields(l) {
			c.Fields = append(c.Fields, FieldChange{Field: f.Field, Before: f.After})
		}
		out = append(out, c) // no rule names it any more, and that is a change of the rule
	}
	return out
}

// changedList is how a list differs.
func changedList(before, after *rulelist.List, old *rules.Set) Change {
	c := Change{Rule: after.Title(), Kind: Changed}
	if before.File != after.File {
		c.Fields = append(c.Fields, FieldChange{Field: "file", Before: tomlfile.QuoteSet(before.File),
			After: tomlfile.QuoteSet(after.File)})
	}
	added, gone := missing(after.Values, before.Values), missing(before.Values, after.Values)
	if len(added)+len(gone) == 0 && before.Unread == after.Unread {
		return c
	}
	f := FieldChange{Field: "values", Before: fmt.Sprint(len(before.Values)),
		After: fmt.Sprint(len(after.Values)) + said(added, gone)}
	protects, excepts := effectiveUse(old, after.Name)
	var why []string
	if len(protects) > 0 && (len(gone) > 0 || before.Unread && !after.Unread) {
		why = append(why, "rule "+mail.AtMost(protects, 3, ", ")+" protects what is in the list, and it has less "+
			"than before")
	}
	if len(excepts) > 0 && (len(added) > 0 || before.Unread && !after.Unread) {
		why = append(why, "rule "+mail.AtMost(excepts, 3, ", ")+" does not protect what is in the list, and it has "+
			"more than before")
	}
	if len(why) > 0 {
		f.Weaker, c.Weaker, c.Why = true, true, strings.Join(why, "; ")
	}
	c.Fields = append(c.Fields, f)
	return c
}

// said names some of what was added and what is gone.
func said(added, gone []string) string {
	var parts []string
	for sign, list := range map[string][]string{"+": added, "-": gone} {
		if len(list) > 0 {
			parts = append(parts, sign+" "+mail.AtMost(list, 3, ", "))
		}
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// missing are the values of a list that another has not, sorted.
func missing(of, in []string) (out []string) {
	there := make(map[string]bool, len(in))
	for _, v := range in {
		there[v] = true
	}
	for _, v := range of {
		if !there[v] {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// effectiveUse are the rules that protect by a list, and those that make an exception for it.
func effectiveUse(s *rules.Set, list string) (protects, excepts []string) {
	for i := range s.Rules() {
		r := &s.Rules()[i]
		if !r.Effective() {
			continue
		}
		if slices.Contains(r.Match.Lists(), strings.ToLower(list)) {
			protects = append(protects, r.Name)
		}
		if slices.Contains(r.Unless.Lists(), strings.ToLower(list)) {
			excepts = append(excepts, r.Name)
		}
	}
	return protects, excepts
}

// listFields are its keys with their values, shortened, for a list of changes.
func listFields(l *rulelist.List) []FieldChange {
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
