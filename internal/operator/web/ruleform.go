package web

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"postern/internal/policy/rules"
)

// field is one input of the settings pane, under the key of the rules file.
type field struct {
	Key     string
	Value   string
	Problem string
	Hint    string
}

// form is the settings pane: a field for each key of a rule.
type form struct {
	Fields map[string]*field
	// Other are problems that belong to no field.
	Other []field
}

// listKeys hold one value a line; the others one value.
func listKeys() []string {
	return []string{"match.sender", "match.recipient", "match.sender_ip", "match.subject", "force_tls.pins"}
}

// plainKeys are written as strings; bare as numbers, dates or truth.
func plainKeys() []string {
	return []string{"name", "description", "scope", "mode", "action", "force_tls.unspecified_recipients", "force_tls.mx", "force_tls.trust",
		"force_tls.revocation", "force_tls.min_tls", "force_tls.defer", "force_tls.without_tls", "match.size_over"}
}

func bareKeys() []string {
	return []string{"expires", "match.recipients_over", "match.case", "match.literals"}
}

// order is the order in which keys are written.
func order() []string {
	return []string{"name", "description", "scope", "mode", "expires", "action",
		"match.sender", "match.recipient", "match.literals", "match.sender_ip", "match.header", "match.subject", "match.size_over", "match.recipients_over", "match.case",
		"force_tls.unspecified_recipients", "force_tls.names", "force_tls.mx", "force_tls.trust", "force_tls.pins", "force_tls.revocation",
		"force_tls.min_tls", "force_tls.defer", "force_tls.without_tls"}
}

// label is the word of the pane for a key of the rules file.
func label(key string) string {
	return map[string]string{
		"name": "Name", "description": "What it is for", "scope": "Applies to", "mode": "Effect", "expires": "Ends after", "action": "What is done",
		"match.sender": "Senders", "match.sender_ip": "Handed in from networks",
		"match.recipient": "Recipients", "match.literals": "Recipients at address literals (dr@[192.0.2.1]) too",
		"match.subject": "Subject", "match.header": "Header fields", "match.size_over": "Larger than", "match.recipients_over": "More recipients than",
		"match.case":                       "Upper and lower case differ",
		"force_tls.unspecified_recipients": rules.Box,
		"force_tls.defer":                  "Waits for up to", "force_tls.without_tls": "A server without any TLS", "force_tls.mx": "The name of the mail server",
		"force_tls.names": "The certificate must name", "force_tls.trust": "Trusted CA", "force_tls.pins": "Pinned keys",
		"force_tls.revocation": "Revocation", "force_tls.min_tls": "TLS at least",
	}[key]
}

// Problems are all problems, those of fields in the order of the pane.
func (f form) Problems() (out []field) {
	for _, key := range order() {
		if one := f.Fields[key]; one.Problem != "" {
			out = append(out, *one)
		}
	}
	return append(out, f.Other...)
}

// Expert reports whether a setting that is folded away differs from its default, or is wrong.
func (f form) Expert() bool {
	def := newForm()
	for _, key := range []string{"force_tls.mx", "force_tls.names", "force_tls.trust", "force_tls.pins", "force_tls.revocation", "force_tls.min_tls"} {
		if one := f.Fields[key]; one.Problem != "" || one.Value != def.Fields[key].Value && one.Value != "" {
			return true
		}
	}
	return false
}

func emptyForm() form {
	f := form{Fields: map[string]*field{}}
	for _, key := range order() {
		f.Fields[key] = &field{Key: key}
	}
	return f
}

// newForm is the pane for a new rule, with the defaults.
func newForm() form {
	f := emptyForm()
	for key, value := range map[string]string{"scope": "outbound", "mode": "enforce", "action": "force-tls", "force_tls.unspecified_recipients": "force",
		"force_tls.names": "mx", "force_tls.mx": "pinned", "force_tls.trust": "public", "force_tls.revocation": "check", "force_tls.min_tls": "1.2",
		"force_tls.defer": "24h"} {
		f.Fields[key].Value = value
	}
	return f
}

// formOf is the pane of a rule that is there.
func formOf(r *rules.Rule) (form, error) {
	f := emptyForm()
	text, err := json.Marshal(r)
	if err != nil {
		return f, err
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		return f, err
	}
	for _, key := range order() {
		at, name := root, key
		if section, short, ok := strings.Cut(key, "."); ok {
			at, _ = root[section].(map[string]any)
			name = short
		}
		f.Fields[key].Value = shown(at[name])
	}
	return f, nil
}

// shown is a JSON value as a field holds it: lists one value a line, headers as "Name: pattern".
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		var lines []string
		for _, one := range v {
			lines = append(lines, shown(one))
		}
		return strings.Join(lines, "\n")
	case map[string]any:
		return shown(v["name"]) + ": " + shown(v["value"])
	}
	return fmt.Sprint(v)
}

// formFrom reads what a browser sent. The check boxes stand for two words each.
func formFrom(v url.Values) form {
	f := emptyForm()
	for key, one := range f.Fields {
		one.Value = strings.TrimSpace(strings.ReplaceAll(v.Get(key), "\r\n", "\n"))
	}
	f.Fields["action"].Value = "force-tls"
	f.Fields["force_tls.unspecified_recipients"].Value = map[bool]string{true: "opportunistic", false: "force"}[v.Get("force_tls.unspecified_recipients") != ""]
	for _, box := range []string{"match.case", "match.literals"} {
		if f.Fields[box].Value != "" {
			f.Fields[box].Value = "true"
		}
	}
	return f
}

// text is the rule as TOML, and which key stands in which line.
func (f *form) text() (string, []string) {
	written := map[string]string{}
	for _, key := range plainKeys() {
		if v := f.Fields[key].Value; v != "" {
			written[key] = rules.Quote(v)
		}
	}
	for _, key := range bareKeys() {
		if v := f.Fields[key].Value; v != "" && v != "false" {
			written[key] = rules.Bare(v)
		}
	}
	for _, key := range listKeys() {
		written[key] = rules.QuoteList(lines(f.Fields[key].Value))
	}
	written["match.header"] = headers(f.Fields["match.header"].Value)
	switch names := lines(f.Fields["force_tls.names"].Value); {
	case len(names) == 1 && (names[0] == "mx" || names[0] == "domain"):
		written["force_tls.names"] = rules.Quote(names[0])
	default:
		written["force_tls.names"] = rules.QuoteList(names)
	}
	var settings []rules.Setting
	for _, key := range order() {
		if written[key] != "" {
			settings = append(settings, rules.Setting{Key: key, Value: written[key]})
		}
	}
	return rules.Assemble(settings)
}

func lines(text string) (out []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// headers writes lines "Name: pattern" as the list of the rules file.
func headers(text string) string {
	var fields [][2]string
	for _, line := range lines(text) {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return rules.QuoteHeaders(fields)
}

// blame puts the problems of a rule to the fields they belong to, in the words of the pane. What is said of the rule as a
// whole is that it has no name.
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
			one.Problem += "; " + inWords(key, p.What)
		case key == "name" && keyOf[p.Line] == "":
			one.Problem = p.What
		default:
			one.Problem, one.Hint = inWords(key, p.What), inWords(key, p.Hint)
		}
	}
}

// inWords says by the field's label what the parser says by the key and the quotes of the rules file.
func inWords(key, text string) string {
	short := key[strings.LastIndexByte(key, '.')+1:]
	words := strings.Split(strings.TrimSuffix(text, ", without quotes"), " ")
	for i, w := range words {
		if bare := strings.TrimRight(w, ":,;"); bare == short {
			words[i] = "\"" + label(key) + "\"" + w[len(bare):]
		}
	}
	return strings.Join(words, " ")
}
