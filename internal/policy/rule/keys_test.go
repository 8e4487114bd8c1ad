package rule_test

import (
	"encoding/json"
	"slices"
	"testing"

	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// TestEveryKeyIsWhole: each key has its words, a section that is there and a place in one area of the form.
func TestEveryKeyIsWhole(t *testing.T) {
	var placed []string
	for _, a := range rule.Areas() {
		placed = append(placed, a.Keys...)
	}
	var names []string
	for _, k := range rule.Keys() {
		names = append(names, k.Name)
		inNone := k.Section() != "" && (rule.Title(k.Section()) == "" || k.Action() == "" && k.Section() != "match" && k.Section() != "unless")
		if k.Doc == "" || k.Label == "" || inNone {
			t.Errorf("%s is not whole", k.Name)
		}
		if k.FromField("", nil) != "" {
			t.Errorf("%s: an empty field is %s", k.Name, k.FromField("", nil))
		}
	}
	slices.Sort(placed)
	if slices.Sort(names); !slices.Equal(placed, names) {
		t.Errorf("the areas of the form have %q, the grammar %q", placed, names)
	}
}

// TestEveryKeyComesBack: the example of each key comes back from TOML, from JSON and from a field of the form, and so
// does every choice that the form offers.
func TestEveryKeyComesBack(t *testing.T) {
	for _, action := range actions() {
		t.Run(string(action), func(t *testing.T) { comesBack(t, action) })
	}
}

func comesBack(t *testing.T, action rule.Action) {
	parsed := func(set []rule.Setting) rule.Rule {
		text, _ := rule.Assemble(set)
		return mustParse(t, text).Rules()[0]
	}
	var examples, byField []rule.Setting
	var own []rule.Key
	for _, k := range rule.Keys() {
		example := k.Example
		switch k.Name {
		case "action":
			example = `"` + string(action) + `"`
		case "scope":
			example = `"` + string(action.Scope()) + `"`
		case "require_tls.level":
			example = `"authenticated"`
		}
		if k.Of(action) && k.Fits(action.Scope()) {
			examples, own = append(examples, rule.Setting{k.Name, example}), append(own, k)
		}
	}
	r := parsed(examples)
	told, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	byJSON, err := rule.SettingsOf(told)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range own {
		byField = append(byField, rule.Setting{k.Name, k.FromField(k.Field(&r), nil)})
		for _, c := range append(k.Choices, rule.Choice{Value: k.Ticked}) {
			set := slices.Clone(examples)
			if set[i].Value = k.FromField(c.Value, nil); c.Value == "" {
				set = slices.Delete(set, i, i+1)
			}
			if k.Required() && c.Value == "" || k.Name == "action" || k.Name == "scope" && c.Value != string(action.Scope()) {
				continue
			}
			if k.Name == "force_tls.proof" && c.Value != "certificate" { // the proof of a certificate is none of its business
				set = slices.DeleteFunc(set, func(s rule.Setting) bool {
					return slices.Contains([]string{"force_tls.names", "force_tls.mx", "force_tls.trust", "force_tls.pins",
						"force_tls.revocation"}, s.Key)
				})
			}
			if k.Name == "require_tls.level" && c.Value != "authenticated" {
				set = slices.DeleteFunc(set, func(s rule.Setting) bool {
					return slices.Contains([]string{"require_tls.names", "require_tls.trust", "require_tls.pins", "require_tls.revocation"}, s.Key)
				})
			}
			if got := parsed(set); k.Field(&got) != c.Value && c.Value != "" {
				t.Errorf("%s: the choice %q comes back as %q", k.Name, c.Value, k.Field(&got))
			}
		}
	}
	for way, set := range map[string][]rule.Setting{"JSON": byJSON, "the form": byField} {
		if got := parsed(set); len(set) != len(own) || got.TOML() != r.TOML() {
			t.Errorf("by %s it comes back as\n%s\nwant\n%s", way, got.TOML(), r.TOML())
		}
	}
}

func TestTheJSONOfARuleIsReadAsItIs(t *testing.T) {
	for _, wrong := range []string{`{"match":[]}`, `{"name":1}`, `{"match":{"size_over":"1"}}`,
		`{"force_tls":{"names":[1]}}`, "[]"} {
		if set, err := rule.SettingsOf([]byte(wrong)); err == nil {
			t.Errorf("%s is taken as %v", wrong, set)
		}
	}
	const nothing = `{"name":null,"match":{"sender":null,"case":false,"size_over":0},"line":3}`
	if set, err := rule.SettingsOf([]byte(nothing)); err != nil || set != nil {
		t.Errorf("what says nothing is %v, %v", set, err)
	}
}

// actions are the values of the key action.
func actions() (out []rule.Action) {
	keys := rule.Keys()
	i := slices.IndexFunc(keys, func(k rule.Key) bool { return k.Name == "action" })
	for _, w := range keys[i].Words {
		out = append(out, rule.Action(w))
	}
	return out
}

// mustParse reads rules that are right.
func mustParse(t testing.TB, text string) *rules.Set {
	t.Helper()
	s, err := rules.Parse("rules.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return s
}
