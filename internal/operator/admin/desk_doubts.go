package admin

import (
	"slices"
	"strings"

	"postern/internal/gateway/inforce"
	"postern/internal/operator/past"
	"postern/internal/policy/rule"
	"postern/internal/policy/ruleedit"
)

// Records hold the envelope, the size, how a message came and the header fields that rules named then, and no more.
// What else a rule asks for is supposed to hold, and supposed not to: where either comes to the same, the answer is
// known.

// doubted are the conditions that records may not answer.
var doubted = []string{"domain", "match.header", "match.subject", "match.attachment", "match.body", "unless.header",
	"unless.subject", "unless.attachment", "unless.body"}

// doubts fills in what records may not answer of a rule before and after an edit, and how to suppose it.
func (d *Desk) doubts(edit *RuleEdit, e *edited, q *past.Question) error {
	var before, after *rule.Rule
	for _, r := range e.now.Rules.Rules() {
		if strings.EqualFold(r.Name, edit.Name) {
			before = &r
		}
	}
	if edit.Rule != "" {
		set, err := d.one(edit.Rule)
		if err != nil {
			return err
		}
		after = &set.Rules()[0]
	}
	for _, r := range []*rule.Rule{before, after} {
		if err := d.doubt(r, q); err != nil {
			return err
		}
	}
	if after != nil && after.Action == rule.RequireTLSAction {
		q.Never = append(q.Never, "refused")
	}
	alike := before != nil && after != nil && slices.Equal(conditions(before), conditions(after))
	q.Worlds = func(unknown []string) ([]past.World, error) { return worlds(e, before, after, alike, unknown) }
	return nil
}

// doubt adds what records may not answer of a rule, with the header fields that would.
func (d *Desk) doubt(r *rule.Rule, q *past.Question) error {
	if r == nil {
		return nil
	}
	settings := r.Settings()
	for _, key := range doubted {
		if !slices.ContainsFunc(settings, func(s rule.Setting) bool { return s.Key == key }) {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(doubted), func(other string) bool { return other == key })
		alone, _ := rule.Assemble(without(settings, others))
		set, err := d.one(alone)
		if err != nil {
			return err
		}
		q.Doubts = append(q.Doubts, past.Doubt{Key: key, Fields: set.HeaderFields()}) // none of what is in the content
	}
	return nil
}

// worlds are the views before and after an edit, as what is not known may have been. Where the conditions are alike, it
// was the same before and after.
func worlds(e *edited, before, after *rule.Rule, alike bool, unknown []string) (out []past.World, err error) {
	var now, then [2]*inforce.View
	for i, holds := range []bool{true, false} {
		if now[i], err = supposed(e.now, e.nowText, before, unknown, holds); err != nil {
			return nil, err
		}
		if then[i], err = supposed(e.then, e.thenText, after, unknown, holds); err != nil {
			return nil, err
		}
	}
	for i := range now {
		for j := range then {
			if i == j || !alike {
				out = append(out, past.World{Now: now[i], Then: then[j]})
			}
		}
	}
	return out, nil
}

// supposed is a view as if a rule were about as much mail as it may have been about, or as little. A condition on what
// is not there does not hold, so that only what holds has to be made up: by leaving it out.
func supposed(v *inforce.View, text []byte, r *rule.Rule, unknown []string, most bool) (*inforce.View, error) {
	if r == nil {
		return v, nil
	}
	settings := r.Settings()
	exceptions, conditions := split(unknown, func(key string) bool { return strings.HasPrefix(key, "unless.") })
	asks := func(keys []string) bool {
		return slices.ContainsFunc(settings, func(s rule.Setting) bool { return slices.Contains(keys, s.Key) })
	}
	left := ""
	switch {
	case most && asks(conditions):
		left, _ = rule.Assemble(without(settings, conditions))
	case !most && !asks(conditions) && asks(exceptions):
		if rest := without(settings, exceptions); excepts(rest) {
			left, _ = rule.Assemble(rest)
		} // else everything is an exception: there is no rule
	default:
		return v, nil
	}
	text, err := ruleedit.Edit(text, r.Name, left)
	if err != nil {
		return nil, err
	}
	return withText(v, text)
}

// excepts reports whether a rule has exceptions.
func excepts(settings []rule.Setting) bool {
	return slices.ContainsFunc(settings, func(s rule.Setting) bool {
		return strings.HasPrefix(s.Key, "unless.") && s.Key != "unless.case"
	})
}

// conditions are the settings that say which mail a rule is about.
func conditions(r *rule.Rule) []rule.Setting {
	return slices.DeleteFunc(r.Settings(), func(s rule.Setting) bool {
		return s.Key != "domain" && s.Key != "below" && !strings.HasPrefix(s.Key, "match.") &&
			!strings.HasPrefix(s.Key, "unless.")
	})
}

// without are settings without some keys, and without what says nothing when these are gone.
func without(settings []rule.Setting, keys []string) []rule.Setting {
	out := slices.DeleteFunc(slices.Clone(settings), func(s rule.Setting) bool {
		return slices.Contains(keys, s.Key) || s.Key == "below" && slices.Contains(keys, "domain")
	})
	if !excepts(out) {
		out = slices.DeleteFunc(out, func(s rule.Setting) bool { return s.Key == "unless.case" })
	}
	return out
}

// split parts a list in two: what is, and what is not.
func split(list []string, is func(string) bool) (those, others []string) {
	for _, one := range list {
		if is(one) {
			those = append(those, one)
		} else {
			others = append(others, one)
		}
	}
	return those, others
}
