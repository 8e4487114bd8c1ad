package rules

import "strings"

// Quote writes a text as a TOML string, QuoteList several as a list; an empty list is "". They are for whoever makes the
// text of a rule out of single values, such as a form.
func Quote(s string) string { return quote(s) }

// QuoteList writes a list; see Quote.
func QuoteList(values []string) string { return quoteList(values) }

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
