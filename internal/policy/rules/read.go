package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"
)

// word reads a string that is one of a few words.
func word(p *problems, e entry, words ...string) (string, bool) {
	s, ok := str(p, e)
	if !ok {
		return "", false
	}
	if slices.Contains(words, s) {
		return s, true
	}
	hint := "write one of " + quotedWords(words)
	if near := nearest(s, words); near != "" {
		hint = "did you mean " + quote(near) + "?"
	}
	p.add(e.value.at, fmt.Sprintf("%s cannot be %s", e.key, quote(clip(s))), hint)
	return "", false
}

func quotedWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, ", ")
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// str reads a string.
func str(p *problems, e entry) (string, bool) {
	if e.value.kind != unstable.String {
		p.add(e.value.at, e.key+" must be a string, not "+kindName(e.value.kind), "write "+e.key+" = \"...\"")
		return "", false
	}
	return e.value.text, true
}

func kindName(k unstable.Kind) string {
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

// strs reads a list of strings that is not empty, and hands each to check with its place.
func strs(p *problems, e entry, check func(value string, at span)) []string {
	if e.value.kind != unstable.Array {
		hint := "write " + e.key + " = [\"...\"]"
		if e.value.kind == unstable.String {
			hint = "write " + e.key + " = [" + quote(clip(e.value.text)) + "]"
		}
		p.add(e.value.at, e.key+" must be a list, not "+kindName(e.value.kind), hint)
		return nil
	}
	if len(e.value.items) == 0 {
		p.add(e.at, e.key+" is an empty list", "leave the key out when it should not matter")
	}
	var out []string
	for _, item := range e.value.items {
		if item.kind != unstable.String {
			p.add(item.at, "a value of "+e.key+" must be a string, not "+kindName(item.kind), "put it in double quotes")
			continue
		}
		check(item.text, item.at)
		out = append(out, item.text)
	}
	return out
}

// maxName and maxDescription bound the text of a rule for people, in octets.
const (
	maxName        = 80
	maxDescription = 1000
)

func checkName(p *problems, e entry, s string) bool {
	if !validName(s) {
		p.add(e.value.at, fmt.Sprintf("%s is no name for a rule", quote(clip(s))),
			fmt.Sprintf("a name has 1 to %d ASCII letters, digits, blanks and any of ._-/@:+(), and begins with a letter or digit", maxName))
		return false
	}
	return true
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte(" ._-/@:+()", c) < 0) {
			return false
		}
	}
	return s != "" && len(s) <= maxName && !strings.HasSuffix(s, " ")
}

func checkDescription(p *problems, e entry, s string) bool {
	if len(s) > maxDescription || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		p.add(e.value.at, "description is too long or has a line end or control character",
			fmt.Sprintf("write one line of at most %d octets", maxDescription))
		return false
	}
	return true
}

func checkScope(p *problems, r *Rule, e entry) {
	if r.Scope == Inbound {
		p.add(e.value.at, "no action of this release works on inbound mail",
			"force-tls is about the way from the gateway to the recipient's server: write scope = \"outbound\"")
	}
}

func readExpires(p *problems, r *Rule, e entry) {
	const hint = "write a date, 2027-12-31, or an instant with its zone, 2027-12-31T18:00:00Z, without quotes"
	text := e.value.text
	switch e.value.kind {
	case unstable.LocalDate:
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			r.Expires = Expiry{At: day.AddDate(0, 0, 1), Date: true}
			return
		}
	case unstable.DateTime:
		if len(text) > 10 {
			text = strings.ToUpper(text[:10] + "T" + text[11:])
		}
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			r.Expires = Expiry{At: at.UTC()}
			return
		}
	case unstable.LocalDateTime:
		p.add(e.value.at, "expires has a time of day without a zone", hint)
		return
	}
	p.add(e.value.at, "expires is no date", hint)
}
