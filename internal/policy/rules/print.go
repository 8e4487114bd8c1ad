package rules

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
		if text := k.text(&r); text != "" {
			out = append(out, Setting{k.Name, text})
		}
	}
	return out
}

// TOML prints the rules in their canonical form, defaults included: Parse(TOML()) gives the same rules. Comments and
// the layout of the file they came from are not kept.
func (s *Set) TOML() []byte {
	var b strings.Builder
	for i, r := range s.rules {
		if i > 0 {
			b.WriteByte('\n')
		}
		r.print(&b)
	}
	s.printLists(&b)
	for i := range s.exceptions {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		s.exceptions[i].print(&b)
	}
	return []byte(b.String())
}

// TOML prints one rule in its canonical form.
func (r Rule) TOML() string {
	var b strings.Builder
	r.print(&b)
	return b.String()
}

func (r Rule) print(b *strings.Builder) {
	text, _ := Assemble(r.Settings())
	b.WriteString(text)
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
