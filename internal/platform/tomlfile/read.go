package tomlfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Word reads a string that is one of a few words.
func (p *Problems) Word(e Entry, words ...string) (string, bool) {
	s, ok := p.Text(e)
	if !ok {
		return "", false
	}
	if slices.Contains(words, s) {
		return s, true
	}
	hint := "write one of " + quotedWords(words)
	if near := Slip(s, words); near != "" {
		hint = "did you mean " + Quote(near) + "?"
	}
	p.Add(e.Value.At, fmt.Sprintf("%s cannot be %s", e.Key, Quote(Clip(s))), hint)
	return "", false
}

func quotedWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, ", ")
}

// Clip shortens a text that a problem quotes.
func Clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// Text reads a string.
func (p *Problems) Text(e Entry) (string, bool) {
	if e.Value.Kind != unstable.String {
		p.Add(e.Value.At, e.Key+" must be a string, not "+KindName(e.Value.Kind), "write "+e.Key+" = \"...\"")
		return "", false
	}
	return e.Value.Text, true
}

// KindName is what people call a value.
func KindName(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer, unstable.Float:
		return "a number"
	case unstable.Array:
		return "a list"
	case unstable.Table:
		return "a table"
	}
	return "a date or time"
}

// Strings reads a list of strings that is not empty, and hands each to check with its place.
func (p *Problems) Strings(e Entry, check func(value string, at Span)) []string {
	if e.Value.Kind != unstable.Array {
		hint := "write " + e.Key + " = [\"...\"]"
		if e.Value.Kind == unstable.String {
			hint = "write " + e.Key + " = [" + Quote(Clip(e.Value.Text)) + "]"
		}
		p.Add(e.Value.At, e.Key+" must be a list, not "+KindName(e.Value.Kind), hint)
		return nil
	}
	if len(e.Value.Items) == 0 {
		p.Add(e.At, e.Key+" is an empty list", "leave the key out when it should not matter")
	}
	var out []string
	for _, item := range e.Value.Items {
		if item.Kind != unstable.String {
			p.Add(item.At, "a value of "+e.Key+" must be a string, not "+KindName(item.Kind), "put it in double quotes")
			continue
		}
		check(item.Text, item.At)
		out = append(out, item.Text)
	}
	return out
}

// Truth reads true or false.
func (p *Problems) Truth(e Entry) bool {
	if e.Value.Kind != unstable.Bool {
		p.Add(e.Value.At, e.Key+" must be true or false, not "+KindName(e.Value.Kind), "write "+e.Key+" = true")
		return false
	}
	return e.Value.Text == "true"
}
