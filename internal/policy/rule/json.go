package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MarshalJSON writes the rule with the keys and words of the rules file.
func (r Rule) MarshalJSON() ([]byte, error) {
	var root object
	names := sections()
	tables := make([]object, len(names))
	for i := range keys {
		if k := &keys[i]; k.Text(&r) != "" {
			in := &root
			for j := range names {
				if names[j] == k.Section() {
					in = &tables[j]
				}
			}
			in.add(k.Short(), k.get(&r))
		}
	}
	for j := range names {
		if text := tables[j].text(); names[j] == "match" || len(text) > len("{}") {
			root.add(names[j], json.RawMessage(text))
		}
	}
	if r.Line != 0 {
		root.add("line", r.Line)
	}
	return root.text(), root.err
}

// object is a JSON object whose members keep their order.
type object struct {
	members bytes.Buffer
	err     error
}

func (o *object) add(name string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		o.err = err
	}
	if o.members.Len() > 0 {
		o.members.WriteByte(',')
	}
	fmt.Fprintf(&o.members, "%q:%s", name, text)
}

func (o *object) text() []byte { return fmt.Appendf(nil, "{%s}", o.members.Bytes()) }

// SettingsOf reads the JSON of a rule. Values are quoted as they came: Parse judges them. Ones that say nothing (null,
// "", false, 0, an empty list) are left out.
func SettingsOf(text []byte) ([]Setting, error) {
	tables := map[string]map[string]json.RawMessage{}
	members := func(section string, text []byte) error {
		m := map[string]json.RawMessage{}
		tables[section] = m
		return json.Unmarshal(text, &m)
	}
	if err := members("", text); err != nil {
		return nil, err
	}
	for _, section := range sections() {
		if table, ok := tables[""][section]; ok {
			if err := members(section, table); err != nil {
				return nil, fmt.Errorf("%s: %w", section, err)
			}
		}
	}
	var out []Setting
	for i := range keys {
		k := &keys[i]
		value, ok := tables[k.Section()][k.Short()]
		if !ok {
			continue
		}
		text, err := k.fromJSON(value)
		if err != nil {
			return nil, err
		}
		if text != "" {
			out = append(out, Setting{k.Name, text})
		}
	}
	return out, nil
}
