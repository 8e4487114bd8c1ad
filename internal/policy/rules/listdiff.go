package rules

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// diffLists compares lists by name. A list that a rule protects by is weaker when it loses a value, one that a rule
// makes an exception for when it gains one.
func diffLists(old, new *Set) (out []Change) {
	kept := map[string]bool{}
	for i := range new.lists {
		l := &new.lists[i]
		kept[strings.ToLower(l.Name)] = true
		was := old.List(l.Name)
		if was == nil {
			out = append(out, Change{Rule: l.name(), Kind: Added, Fields: l.fields()})
			continue
		}
		if c := changedList(was, l, old); len(c.Fields) > 0 {
			out = append(out, c)
		}
	}
	for i := range old.lists {
		l := &old.lists[i]
		if kept[strings.ToLower(l.Name)] {
			continue
		}
		c := Change{Rule: l.name(), Kind: Removed}
		for _, f := range l.fields() {
			c.Fields = append(c.Fields, FieldChange{Field: f.Field, Before: f.After})
		}
		out = append(out, c) // no rule names it any more, and that is a change of the rule
	}
	return out
}

// changedList is how a list differs.
func changedList(before, after *NamedList, old *Set) Change {
	c := Change{Rule: after.name(), Kind: Changed}
	if before.File != after.File {
		c.Fields = append(c.Fields, FieldChange{Field: "file", Before: quoteSet(before.File),
			After: quoteSet(after.File)})
	}
	added, gone := missing(after.Values, before.Values), missing(before.Values, after.Values)
	if len(added)+len(gone) == 0 && before.Unread == after.Unread {
		return c
	}
	f := FieldChange{Field: "values", Before: fmt.Sprint(len(before.Values)),
		After: fmt.Sprint(len(after.Values)) + said(added, gone)}
	protects, excepts := old.effectiveUse(after.Name)
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
func (s *Set) effectiveUse(list string) (protects, excepts []string) {
	for i := range s.rules {
		r := &s.rules[i]
		if !r.effective() {
			continue
		}
		if slices.Contains(r.Match.lists(), strings.ToLower(list)) {
			protects = append(protects, r.Name)
		}
		if slices.Contains(r.Unless.lists(), strings.ToLower(list)) {
			excepts = append(excepts, r.Name)
		}
	}
	return protects, excepts
}

// listWarnings tell of lists that no rule names, that are empty, or whose file was not read.
func (s *Set) listWarnings() (out []Warning) {
	all := s.users()
	for i := range s.lists {
		l := &s.lists[i]
		add := func(text, hint string) {
			out = append(out, Warning{Rule: l.name(), Line: l.Line, Text: text, Hint: hint})
		}
		users := all[strings.ToLower(l.Name)]
		switch {
		case len(users) == 0:
			add("is named by no rule", `write `+tomlfile.Quote(listWord+l.Name)+" as a sender or recipient, or "+
				"take the list out")
		case l.Unread:
			add(fmt.Sprintf("has not been read from %s: everybody counts as in it",
				tomlfile.Quote(tomlfile.Clip(l.File))), "apply the rules with `postern rules apply`, which reads it")
		case len(l.Values) == 0:
			add("is empty: rule "+mail.AtMost(users, 3, ", ")+" covers nobody by it",
				"add values, or take it out of the rule")
		}
	}
	return out
}
