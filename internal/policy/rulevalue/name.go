package rulevalue

import (
	"fmt"
	"strings"
	"unicode"

	"postern/internal/platform/tomlfile"
)

// maxName and maxDescription bound the text of a rule for people, in octets.
const (
	maxName        = 80
	maxDescription = 1000
)

// CheckName asks for what may name a rule, or another thing of the file.
func CheckName(p *tomlfile.Problems, what string, e tomlfile.Entry, s string) bool {
	if !validName(s) {
		p.Add(e.Value.At, fmt.Sprintf("%s is no name for a %s", tomlfile.Quote(tomlfile.Clip(s)), what),
			fmt.Sprintf("a name has 1 to %d ASCII letters, digits, blanks and any of ._-/@:+(), and begins with a "+
				"letter or digit", maxName))
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

// CheckDescription asks for one line for people.
func CheckDescription(p *tomlfile.Problems, e tomlfile.Entry, s string) bool {
	if len(s) > maxDescription || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		p.Add(e.Value.At, "description is too long or has a line end or control character",
			fmt.Sprintf("write one line of at most %d octets", maxDescription))
		return false
	}
	return true
}

// CheckListener asks for a name that a listener can have.
func CheckListener(p *tomlfile.Problems, key, value string, at tomlfile.Span) {
	if value == "" || len(value) > maxName ||
		strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
		p.Add(at, fmt.Sprintf("%s in %s is no name of a listener", tomlfile.Quote(tomlfile.Clip(value)), key),
			"write the name that the listener has in the configuration, or its address where it has none")
	}
}
