package rules

import "strings"

// Quote writes a text as a TOML string, QuoteList several as a list; an empty list is "". They are for whoever makes the
// text of a rule out of single values, such as a form.
func Quote(s string) string { return quote(s) }

// QuoteList writes a list; see Quote.
func QuoteList(values []string) string { return quoteList(values) }

// QuoteHeaders writes names and patterns of header fields as match.header takes them; no fields are "".
func QuoteHeaders(fields [][2]string) string {
	var items []string
	for _, f := range fields {
		items = append(items, "{ name = "+quote(f[0])+", value = "+quote(f[1])+" }")
	}
	if len(items) == 0 {
		return ""
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// Bare writes a number, a date or a truth; what can be none of them becomes a string, so that the parser says what is wrong
// with it instead of reading something else.
func Bare(v string) string {
	for _, r := range v {
		if !strings.ContainsRune("0123456789-:.TZtruefals+", r) {
			return quote(v)
		}
	}
	return v
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
