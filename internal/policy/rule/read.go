package rule

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"

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

// ReadExpiry reads when something ends, zero where it cannot be read.
func ReadExpiry(p *tomlfile.Problems, e tomlfile.Entry) Expiry {
	const hint = "write a date, 2027-12-31, or an instant with its zone, 2027-12-31T18:00:00Z, without quotes"
	text := e.Value.Text
	switch e.Value.Kind {
	case unstable.LocalDate:
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			return Expiry{At: day.AddDate(0, 0, 1), Date: true}
		}
	case unstable.DateTime:
		if len(text) > 10 {
			text = strings.ToUpper(text[:10] + "T" + text[11:])
		}
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return Expiry{At: at.UTC()}
		}
	case unstable.LocalDateTime:
		p.Add(e.Value.At, "expires has a time of day without a zone", hint)
		return Expiry{}
	}
	p.Add(e.Value.At, "expires is no date", hint)
	return Expiry{}
}

func checkRuleName(p *Problems, e tomlfile.Entry, s string) bool {
	return CheckName(&p.Problems, "rule", e, s)
}

func checkRuleDescription(p *Problems, e tomlfile.Entry, s string) bool {
	return CheckDescription(&p.Problems, e, s)
}

func readExpires(p *Problems, r *Rule, e tomlfile.Entry) { r.Expires = ReadExpiry(&p.Problems, e) }
