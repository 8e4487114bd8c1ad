package web

import (
	"net/url"
	"slices"
	"strings"

	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// field is one input of the settings pane, under a key of the grammar; a problem that belongs to no field has none.
type field struct {
	*rule.Key
	Value   string
	Problem string
	Hint    string
}

// Described are the ids of what is said about the field: what is wrong with it, and what it is for.
func (f *field) Described() string {
	var out []string
	if f.Problem != "" {
		out = append(out, f.Name+".problem")
	}
	if f.Help != "" {
		out = append(out, f.Name+".help")
	}
	return strings.Join(out, " ")
}

// Said reports whether the field is wrong or says something else than its default.
func (f *field) Said() bool { return f.Problem != "" || f.Value != "" && f.Value != f.Initial() }

// Where is the label for the list of problems: of a condition that keeps a message out, with that.
func (f *field) Where() string {
	if f.Section() == unless {
		return except + ": " + f.Label
	}
	return f.Label
}

// part are some fields under a name.
type part struct {
	Name   string
	Fields []*field
}

// Open reports whether one of the fields says something, so that none of it may be folded away.
func (p part) Open() bool { return slices.ContainsFunc(p.Fields, (*field).Said) }

// deed is an action to choose, with its settings.
type deed struct {
	rule.Choice
	ID     string
	Chosen bool
	// Scope is the mail it works on.
	Scope  rule.Scope
	Fields []*field
	// Folded are the settings for experts.
	Folded []part
}

// form is the settings pane: a field for each key of a rule.
type form struct {
	list   []*field // in the order of the rules file
	Fields map[string]*field
	// Other are problems that belong to no field.
	Other []field
}

// formWith is the pane with a value for each key.
func formWith(value func(k *rule.Key) string) form { return formOver(rule.Keys(), value) }

// formOver is formWith for a grammar.
func formOver(keys []rule.Key, value func(k *rule.Key) string) form {
	f := form{Fields: map[string]*field{}}
	for _, k := range keys {
		one := &field{Key: &k, Value: value(&k)}
		f.list, f.Fields[k.Name] = append(f.list, one), one
	}
	return f
}

// newForm is the pane for a new rule, with the defaults.
func newForm() form {
	return formWith(func(k *rule.Key) string {
		if k.Name == "action" {
			return string(rule.ForceTLSAction)
		}
		return k.Initial()
	})
}

// formOf is the pane of a rule that is there.
func formOf(r *rule.Rule) form {
	return formWith(func(k *rule.Key) string { return k.Field(r) })
}

// formFrom reads what a browser sent.
func formFrom(v url.Values) form {
	return formWith(func(k *rule.Key) string {
		value := strings.TrimSpace(strings.ReplaceAll(v.Get(k.Name), "\r\n", "\n"))
		switch {
		case k.Ticked != "" && value != "":
			return k.Ticked
		case k.Ticked != "":
			return k.Initial()
		}
		return value
	})
}

// The parts of the pane that are not about the action. A key that stands in no area of the grammar has the part that
// its section says.
const (
	scopePart, messagePart, except, actionPart, expiresPart = "Scope", "Message", "Except when", "Action", "Expires"
	// match and unless are the sections of conditions.
	match, unless = "match", "unless"
)

// fixed are the parts in the order of the pane, without those of the action.
func fixed() []string {
	return []string{"", scopePart, "Sender", "Recipient", messagePart, except, expiresPart}
}

// parts are all parts with their fields, in the order of the grammar.
func (f form) parts() (out []part) {
	placed := map[string]bool{}
	put := func(name string, one *field) {
		i := slices.IndexFunc(out, func(p part) bool { return p.Name == name })
		if i < 0 {
			out, i = append(out, part{Name: name}), len(out)
		}
		out[i].Fields = append(out[i].Fields, one)
	}
	for _, a := range rule.Areas() {
		for _, key := range a.Keys {
			if one := f.Fields[key]; one != nil {
				put(a.Name, one)
				placed[key] = true
			}
		}
	}
	for _, one := range f.list {
		switch section := one.Section(); {
		case placed[one.Name]:
		case section == match:
			put(messagePart, one)
		case section == unless:
			put(except, one)
		case one.Action() != "":
			put(actionPart, one)
		default:
			put(scopePart, one)
		}
	}
	return out
}

// Area is a part of the pane by its name, but of the action only what is no setting of one.
func (f form) Area(name string) part {
	for _, p := range f.parts() {
		if p.Name != name {
			continue
		}
		if name == actionPart {
			p.Fields = slices.DeleteFunc(p.Fields, func(one *field) bool {
				return one.Name == "action" ||
					one.Action() != ""
			})
		}
		return p
	}
	return part{}
}

// Folded are the parts for experts that belong to no action.
func (f form) Folded() []part { return f.folded("") }

// folded are the parts of the action's settings that stand under a name of their own.
func (f form) folded(a rule.Action) (out []part) {
	for _, p := range f.parts() {
		if p.Name == actionPart || slices.Contains(fixed(), p.Name) {
			continue
		}
		p.Fields = slices.DeleteFunc(p.Fields, func(one *field) bool { return one.Action() != a })
		if len(p.Fields) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// Deeds are the actions to choose from, each with its settings.
func (f form) Deeds() (out []deed) {
	action := f.Fields["action"]
	for _, c := range action.Choices {
		one := deed{Choice: c, ID: "action." + c.Value, Chosen: c.Value == action.Value,
			Scope: rule.Action(c.Value).Scope(), Folded: f.folded(rule.Action(c.Value))}
		for _, p := range f.parts() {
			for _, setting := range p.Fields {
				if p.Name == actionPart && setting.Action() == rule.Action(c.Value) {
					one.Fields = append(one.Fields, setting)
				}
			}
		}
		out = append(out, one)
	}
	return out
}

// Problems are all problems, those of fields in the order of the pane.
func (f form) Problems() (out []field) {
	seen := map[string]bool{}
	add := func(list []*field) {
		for _, one := range list {
			if one.Problem != "" && !seen[one.Name] {
				seen[one.Name] = true
				out = append(out, *one)
			}
		}
	}
	for _, name := range fixed()[:len(fixed())-1] {
		add(f.Area(name).Fields)
	}
	add([]*field{f.Fields["action"]})
	add(f.list)
	return append(out, f.Other...)
}

// text is the rule as TOML, and which key stands in which line.
func (f *form) text() (string, []string) {
	var settings []rule.Setting
	action := f.Fields["action"].Value
	for _, one := range f.list {
		if !one.Serves(rule.Action(action)) {
			continue // what was filled in for another action stays in the page
		}
		if value := one.FromField(one.Value); value != "" {
			settings = append(settings, rule.Setting{Key: one.Name, Value: value})
		}
	}
	return rule.Assemble(settings)
}

// enforced is the rule as TOML as if it were not on trial.
func (f form) enforced() string {
	mode := *f.Fields["mode"]
	mode.Value = string(rule.Enforce)
	var settings []*field
	for _, one := range f.list {
		if one.Name == mode.Name {
			one = &mode
		}
		settings = append(settings, one)
	}
	f.list = settings
	text, _ := f.text()
	return text
}

// blame puts the problems of a rule to the fields they belong to, in the words of the pane. What is said of the rule as
// a whole is that it lacks something.
func (f *form) blame(problems []rules.Problem, keyOf []string) {
	for _, p := range problems {
		switch {
		case p.Line >= len(keyOf), keyOf[p.Line] != "" && f.Fields[keyOf[p.Line]] == nil:
			f.Other = append(f.Other, field{Problem: p.What, Hint: p.Hint})
		case keyOf[p.Line] == "":
			f.lacked(p.What).blame(p.What, "")
		default:
			f.Fields[keyOf[p.Line]].blame(p.What, p.Hint)
		}
	}
}

// blame adds what is wrong with a field.
func (f *field) blame(what, hint string) {
	if f.Problem != "" {
		f.Problem += "; " + f.inWords(what)
		return
	}
	f.Problem, f.Hint = f.inWords(what), f.inWords(hint)
}

// lacked is the field that a rule lacks, the name where no other is meant.
func (f *form) lacked(what string) *field {
	for _, one := range f.list {
		if one.Required() && strings.HasSuffix(what, " no "+one.Short()) {
			return one
		}
	}
	return f.Fields["name"]
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
