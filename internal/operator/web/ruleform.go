package web

import (
	"net/url"
	"strings"

	"postern/internal/policy/rules"
)

// field is one input of the settings pane, under a key of the grammar; a problem that belongs to no field has none.
type field struct {
	*rules.Key
	Value   string
	Problem string
	Hint    string
}

// form is the settings pane: a field for each key of a rule.
type form struct {
	list   []*field // in the order of the rules file
	Fields map[string]*field
	// Other are problems that belong to no field.
	Other []field
}

// formWith is the pane with a value for each key.
func formWith(value func(k *rules.Key) string) form {
	f := form{Fields: map[string]*field{}}
	for _, k := range rules.Keys() {
		one := &field{Key: &k, Value: value(&k)}
		f.list, f.Fields[k.Name] = append(f.list, one), one
	}
	return f
}

// newForm is the pane for a new rule, with the defaults.
func newForm() form {
	return formWith(func(k *rules.Key) string {
		if len(k.Choices) > 0 && k.Required() {
			return k.Choices[0].Value
		}
		return k.Initial()
	})
}

// formOf is the pane of a rule that is there.
func formOf(r *rules.Rule) form {
	return formWith(func(k *rules.Key) string { return k.Field(r) })
}

// formFrom reads what a browser sent.
func formFrom(v url.Values) form {
	return formWith(func(k *rules.Key) string {
		value := strings.TrimSpace(strings.ReplaceAll(v.Get(k.Name), "\r\n", "\n"))
		switch {
		case k.Ticked != "" && value != "":
			return k.Ticked
		case k.Ticked != "":
			return k.Initial()
		case value == "" && k.Required() && len(k.Choices) > 0:
			return k.Choices[0].Value
		}
		return value
	})
}

// Area are the fields of a part of the pane.
func (f form) Area(name string) (out []*field) {
	for _, a := range rules.Areas() {
		if a.Name == name {
			for _, key := range a.Keys {
				out = append(out, f.Fields[key])
			}
		}
	}
	return out
}

// Problems are all problems, those of fields in the order of the rules file.
func (f form) Problems() (out []field) {
	for _, one := range f.list {
		if one.Problem != "" {
			out = append(out, *one)
		}
	}
	return append(out, f.Other...)
}

// Expert reports whether a setting that is folded away differs from its default, or is wrong.
func (f form) Expert() bool {
	for _, one := range f.Area(rules.Proof) {
		if one.Problem != "" || one.Value != one.Initial() && one.Value != "" {
			return true
		}
	}
	return false
}

// text is the rule as TOML, and which key stands in which line.
func (f *form) text() (string, []string) {
	var settings []rules.Setting
	action := f.Fields["action"].Value
	for _, one := range f.list {
		if !one.Serves(action) {
			continue
		}
		if value := one.FromField(one.Value); value != "" {
			settings = append(settings, rules.Setting{Key: one.Name, Value: value})
		}
	}
	return rules.Assemble(settings)
}

// blame puts the problems of a rule to the fields they belong to, in the words of the pane. What is said of the rule as
// a whole is that it has no name.
func (f *form) blame(problems []rules.Problem, keyOf []string) {
	for _, p := range problems {
		key := "name"
		if p.Line < len(keyOf) && keyOf[p.Line] != "" {
			key = keyOf[p.Line]
		}
		one := f.Fields[key]
		switch {
		case p.Line >= len(keyOf) || one == nil:
			f.Other = append(f.Other, field{Problem: p.What, Hint: p.Hint})
		case one.Problem != "":
			one.Problem += "; " + one.inWords(p.What)
		case key == "name" && keyOf[p.Line] == "":
			one.Problem = p.What
		default:
			one.Problem, one.Hint = one.inWords(p.What), one.inWords(p.Hint)
		}
	}
}

// inWords says by the field's label what the parser says by the key and the quotes of the rules file.
func (f *field) inWords(text string) string {
	words := strings.Split(strings.TrimSuffix(text, ", without quotes"), " ")
	for i, w := range words {
		if bare := strings.TrimRight(w, ":,;"); bare == f.Short() {
			words[i] = "\"" + f.Label + "\"" + w[len(bare):]
		}
	}
	return strings.Join(words, " ")
}
