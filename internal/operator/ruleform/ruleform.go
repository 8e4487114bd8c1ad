// Package ruleform is the settings pane of a rule as data: a field for each key of the grammar, in the areas of the
// pane and in its words, and the way from what a browser sent to the rule's text and back to the field that is wrong.
package ruleform

import (
	"net/url"
	"slices"
	"strings"

	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// Field is one input of the settings pane, under a key of the grammar; a problem that belongs to no field has none.
type Field struct {
	*rule.Key
	Value   string
	Problem string
	Hint    string
}

// Described are the ids of what is said about the field: what is wrong with it, and what it is for.
func (f *Field) Described() string {
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
func (f *Field) Said() bool { return f.Problem != "" || f.Value != "" && f.Value != f.Initial() }

// Where is the label for the list of problems: of a condition that keeps a message out, with that.
func (f *Field) Where() string {
	if f.Section() == unless {
		return except + ": " + f.Label
	}
	return f.Label
}

// ConditionWord is what the pane calls a condition.
func ConditionWord(key string) string {
	for _, k := range rule.Keys() {
		if k.Name == key {
			return (&Field{Key: &k}).Where()
		}
	}
	return key
}

// Part are some fields under a name.
type Part struct {
	Name   string
	Fields []*Field
}

// Open reports whether one of the fields says something, so that none of it may be folded away.
func (p Part) Open() bool { return slices.ContainsFunc(p.Fields, (*Field).Said) }

// Deed is an action to choose, with its settings.
type Deed struct {
	rule.Choice
	ID     string
	Chosen bool
	// Scope is the mail it works on.
	Scope  rule.Scope
	Fields []*Field
	// Folded are the settings for experts.
	Folded []Part
}

// Form is the settings pane: a field for each key of a rule.
type Form struct {
	list   []*Field // in the order of the rules file
	Fields map[string]*Field
	// before is the rule that is changed, nil for a new one: what nobody touched stays to the letter.
	before *rule.Rule
	// Other are problems that belong to no field.
	Other []Field
}

// with is the pane with a value for each key.
func with(value func(k *rule.Key) string) Form { return over(rule.Keys(), value) }

// over is with for a grammar.
func over(keys []rule.Key, value func(k *rule.Key) string) Form {
	f := Form{Fields: map[string]*Field{}}
	for _, k := range keys {
		one := &Field{Key: &k, Value: value(&k)}
		f.list, f.Fields[k.Name] = append(f.list, one), one
	}
	return f
}

// New is the pane for a new rule, with the defaults.
func New() Form {
	return with(func(k *rule.Key) string {
		if k.Name == "action" {
			return string(rule.ForceTLSAction)
		}
		return k.Initial()
	})
}

// Of is the pane of a rule that is there.
func Of(r *rule.Rule) Form {
	f := with(func(k *rule.Key) string { return k.Field(r) })
	f.before = r
	return f
}

// From reads what a browser sent. before is the rule that is there, nil for a new one.
func From(v url.Values, before *rule.Rule) Form {
	f := with(func(k *rule.Key) string {
		value := strings.ReplaceAll(v.Get(k.Name), "\r\n", "\n")
		switch {
		case k.Ticked != "" && value != "":
			return k.Ticked
		case k.Ticked != "":
			return k.Initial()
		}
		return value
	})
	f.before = before
	return f
}

// Fill puts values of an address into the fields of a new rule. Nothing comes of it before somebody saves.
func (f *Form) Fill(v url.Values) {
	for name, one := range f.Fields {
		if value := v.Get(name); value != "" {
			one.Value = value
		}
	}
	f.Fields["name"].Value = v.Get("new")
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
func (f Form) parts() (out []Part) {
	placed := map[string]bool{}
	put := func(name string, one *Field) {
		i := slices.IndexFunc(out, func(p Part) bool { return p.Name == name })
		if i < 0 {
			out, i = append(out, Part{Name: name}), len(out)
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
func (f Form) Area(name string) Part {
	for _, p := range f.parts() {
		if p.Name != name {
			continue
		}
		if name == actionPart {
			p.Fields = slices.DeleteFunc(p.Fields, func(one *Field) bool {
				return one.Name == "action" || one.Action() != ""
			})
		}
		return p
	}
	return Part{}
}

// Folded are the parts for experts that belong to no action.
func (f Form) Folded() []Part { return f.folded("") }

// folded are the parts of the action's settings that stand under a name of their own.
func (f Form) folded(a rule.Action) (out []Part) {
	for _, p := range f.parts() {
		if p.Name == actionPart || slices.Contains(fixed(), p.Name) {
			continue
		}
		p.Fields = slices.DeleteFunc(p.Fields, func(one *Field) bool { return one.Action() != a })
		if len(p.Fields) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// Deeds are the actions to choose from, each with its settings.
func (f Form) Deeds() (out []Deed) {
	action := f.Fields["action"]
	for _, c := range action.Choices {
		one := Deed{Choice: c, ID: "action." + c.Value, Chosen: c.Value == action.Value,
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
func (f Form) Problems() (out []Field) {
	seen := map[string]bool{}
	add := func(list []*Field) {
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
	add([]*Field{f.Fields["action"]})
	add(f.list)
	return append(out, f.Other...)
}

// Text is the rule as TOML, and which key stands in which line.
func (f *Form) Text() (string, []string) {
	var settings []rule.Setting
	action := f.Fields["action"].Value
	for _, one := range f.list {
		if !one.Of(rule.Action(action)) {
			continue // what was filled in for another action stays in the page
		}
		if value := one.FromField(one.Value, f.before); value != "" {
			settings = append(settings, rule.Setting{Key: one.Name, Value: value})
		}
	}
	return rule.Assemble(settings)
}

// Enforced is the rule as TOML as if it were not on trial.
func (f Form) Enforced() string {
	mode := *f.Fields["mode"]
	mode.Value = string(rule.Enforce)
	var settings []*Field
	for _, one := range f.list {
		if one.Name == mode.Name {
			one = &mode
		}
		settings = append(settings, one)
	}
	f.list = settings
	text, _ := f.Text()
	return text
}

// Blame puts the problems of a rule to the fields they belong to, in the words of the pane. What is said of the rule as
// a whole is that it lacks something.
func (f *Form) Blame(problems []rules.Problem, keyOf []string) {
	for _, p := range problems {
		key := ""
		if p.Line < len(keyOf) {
			key = keyOf[p.Line]
		}
		switch one := f.Fields[key]; {
		case p.Line >= len(keyOf), key != "" && one == nil:
			f.Other = append(f.Other, Field{Problem: p.What, Hint: p.Hint})
		case key == "":
			f.lacks(p)
		case key == "scope" && f.misfit():
			one.blame(f.misfitWords())
		case f.astray(one):
			one.blame(p.What, "empty it, or choose “"+f.Fields["scope"].words(string(one.Only()))+"”")
		default:
			one.blame(p.What, p.Hint)
		}
	}
}

// about is the mail that the rule is about, "" where neither scope nor action says.
func (f *Form) about() rule.Scope {
	switch s := rule.Scope(f.Fields["scope"].Value); s {
	case rule.Outbound, rule.Inbound:
		return s
	}
	return rule.Action(f.Fields["action"].Value).Scope()
}

// misfit reports whether the action works on other mail than the rule is about.
func (f *Form) misfit() bool {
	works := rule.Action(f.Fields["action"].Value).Scope()
	return works != "" && works != f.about()
}

// misfitWords say that, and what to choose.
func (f *Form) misfitWords() (what, hint string) {
	scope, action := f.Fields["scope"], f.Fields["action"]
	var fit []string
	for _, c := range action.Choices {
		if rule.Action(c.Value).Scope() == f.about() {
			fit = append(fit, "“"+brief(c.Words)+"”")
		}
	}
	return "“" + brief(action.words(action.Value)) + "” does not work on “" + scope.words(scope.Value) + "”",
		"choose “" + scope.words(string(rule.Action(action.Value).Scope())) + "”, or as action " +
			strings.Join(fit, ", ")
}

// brief is the name in the words of a choice.
func brief(words string) string {
	name, _, _ := strings.Cut(words, ":")
	return name
}

// words are those of a choice.
func (f *Field) words(value string) string {
	for _, c := range f.Choices {
		if c.Value == value {
			return c.Words
		}
	}
	return value
}

// astray reports whether a field says something about other mail than the rule is about.
func (f *Form) astray(one *Field) bool {
	return one.Action() == "" && one.Only() != "" && one.Only() != f.about()
}

// Known are the conditions on mail that comes in, by their labels.
func (f Form) Known() (out []string) {
	for _, one := range f.list {
		if one.Section() == match && one.Only() != rule.Outbound && one.Ticked == "" {
			out = append(out, one.Label)
		}
	}
	return out
}

// Accuse puts a problem to the field of a key, in its own words.
func (f *Form) Accuse(key, what, hint string) {
	if one := f.Fields[key]; one != nil {
		one.Problem, one.Hint = what, hint
		return
	}
	f.Other = append(f.Other, Field{Problem: what, Hint: hint})
}

// Advise says what to do about a field that is wrong; "" says nothing else than the parser.
func (f *Form) Advise(key, hint string) {
	if one := f.Fields[key]; one.Problem != "" && hint != "" {
		one.Hint = hint
	}
}
