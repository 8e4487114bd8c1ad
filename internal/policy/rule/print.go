package rule

import "strings"

// Setting is one key of a rule with its value as TOML.
type Setting struct {
	Key   string `json:"key"` // "match.sender" stands in [rule.match]
	Value string `json:"value"`
}

// Settings returns the keys of a rule that are set, defaults included, in the order of the rules file.
func (r Rule) Settings() []Setting {
	var out []Setting
	for _, k := range keys {
		if text := k.Text(&r); text != "" {
			out = append(out, Setting{k.Name, text})
		}
	}
	return out
}

// TOML prints one rule in its canonical form.
func (r Rule) TOML() string {
	text, _ := Assemble(r.Settings())
	return text
}

// Assemble writes a rule out of settings: keys as in the table of the rules file, sections together. keyOf says of each
// line, counted from 1, which key stands there, for showing a Problem where it belongs; "" for lines without.
func Assemble(settings []Setting) (text string, keyOf []string) {
	var b strings.Builder
	line := func(text, key string) {
		b.WriteString(text + "\n")
		keyOf = append(keyOf, key)
	}
	keyOf = []string{""}
	line("[[rule]]", "")
	section := ""
	for _, s := range settings {
		name := s.Key
		if in, short, ok := strings.Cut(name, "."); ok {
			if in != section {
				section = in
				line("[rule."+section+"]", "")
			}
			name = short
		}
		line(name+" = "+s.Value, s.Key)
	}
	return b.String(), keyOf
}
