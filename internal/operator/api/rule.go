package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/policy/rule"
)

// Rule is one rule with the keys and words of the rules file; docs/rules.md says what each means. What is left out has
// the file's default. Which keys there are is said by the grammar in policy/rules alone.
type Rule struct {
	Name string
	text json.RawMessage
	set  []rule.Setting
}

// toml writes the rule as it stands in the file. Values are quoted as they came: the file's own parser judges them.
func (r *Rule) toml() string {
	text, _ := rule.Assemble(r.set)
	return text
}

// MarshalJSON writes the rule as it was read.
func (r Rule) MarshalJSON() ([]byte, error) { return r.text, nil }

// UnmarshalJSON reads a rule.
func (r *Rule) UnmarshalJSON(text []byte) error {
	set, err := rule.SettingsOf(text)
	if err != nil {
		return err
	}
	var named struct{ Name string }
	if err := json.Unmarshal(text, &named); err != nil {
		return err
	}
	r.Name, r.text, r.set = named.Name, bytes.Clone(text), set
	return nil
}

// ruleOf reads a rule as the Service writes it.
func ruleOf(text json.RawMessage) (r Rule, err error) {
	if err = r.UnmarshalJSON(text); err != nil {
		err = errors.Join(errors.New("a rule cannot be shown"), err)
	}
	return r, err
}

// RuleHeader is a header field with a pattern of its value; without one, any.
type RuleHeader struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// TransformSchema describes a rule by the grammar. Each section has a schema of its own.
func (Rule) TransformSchema(all huma.Registry, root *huma.Schema) *huma.Schema {
	root.Properties = map[string]*huma.Schema{}
	root.Required = nil
	sections := map[string]*huma.Schema{"": root}
	for _, k := range rule.Keys() {
		in := sections[k.Section()]
		if in == nil {
			in = &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
			sections[k.Section()] = in
			name := "Rule" + rule.Title(k.Section())
			all.Map()[name] = in
			root.Properties[k.Section()] = &huma.Schema{Ref: "#/components/schemas/" + name}
		}
		in.Properties[k.Short()] = schemaOf(all, &k)
		if k.Required() {
			in.Required = append(in.Required, k.Short())
		}
	}
	root.Properties["line"] = &huma.Schema{Type: huma.TypeInteger, Format: "int64", ReadOnly: true,
		Description: "in the file"}
	for _, s := range sections {
		s.PrecomputeMessages()
	}
	return root
}

// schemaOf describes the values of a key.
func schemaOf(all huma.Registry, k *rule.Key) *huma.Schema {
	out := &huma.Schema{Type: huma.TypeString, Description: k.Doc}
	text := &huma.Schema{Type: huma.TypeString}
	switch k.Shape() {
	case rule.Text, rule.Bare:
		out.Examples = []any{strings.Trim(k.Example, `"`)}
	case rule.Number, rule.Size:
		out.Type, out.Format = huma.TypeInteger, "int64"
	case rule.Flag:
		out.Type = huma.TypeBoolean
	case rule.List:
		out.Type, out.Nullable, out.Items = huma.TypeArray, true, text
	case rule.Fields:
		out.Type, out.Nullable, out.Items = huma.TypeArray, true, all.Schema(reflect.TypeFor[RuleHeader](), true, "")
	case rule.WordOrList:
		words := make([]any, len(k.Words))
		for i, w := range k.Words {
			words[i] = w
		}
		out.Type = ""
		out.OneOf = []*huma.Schema{{Type: huma.TypeString, Enum: words}, {Type: huma.TypeArray, Items: text}}
	}
	return out
}
