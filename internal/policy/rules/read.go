package rules

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

func checkName(p *problems, e tomlfile.Entry, s string) bool {
	if !validName(s) {
		p.Add(e.Value.At, fmt.Sprintf("%s is no name for a rule", tomlfile.Quote(tomlfile.Clip(s))),
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

func checkDescription(p *problems, e tomlfile.Entry, s string) bool {
	if len(s) > maxDescription || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		p.Add(e.Value.At, "description is too long or has a line end or control character",
			fmt.Sprintf("write one line of at most %d octets", maxDescription))
		return false
	}
	return true
}

func readExpires(p *problems, r *Rule, e tomlfile.Entry) {
	const hint = "write a date, 2027-12-31, or an instant with its zone, 2027-12-31T18:00:00Z, without quotes"
	text := e.Value.Text
	switch e.Value.Kind {
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
		p.Add(e.Value.At, "expires has a time of day without a zone", hint)
		return
	}
	p.Add(e.Value.At, "expires is no date", hint)
}
