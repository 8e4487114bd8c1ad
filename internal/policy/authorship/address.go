package authorship

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/internal/policy/pattern"
)

// readings are a field as programs may read it: as it stands, without comments, with what quoted-printable left of @,
// and without what quotes a domain in a way that no standard knows.
func readings(text string) []string {
	bare := withoutComments(text)
	return []string{text, bare, strings.ReplaceAll(text, "=40", "@"), unquoted.Replace(bare)}
}

var unquoted = strings.NewReplacer(`\`, "", `"`, "")

// domainsIn are the domains after each @ of a text as people and programs read it: as they stand, and with the blanks
// that may stand around dots taken out (RFC 5322 §4.4).
func domainsIn(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		text := pattern.DomainDots.Replace(text)
		for {
			_, rest, found := strings.Cut(text, "@")
			if !found {
				return
			}
			text = rest
			rest = strings.TrimLeft(rest, " ")
			if strings.HasPrefix(rest, "[") {
				if end := strings.IndexByte(rest, ']'); end > 0 && !yield(rest[:end+1]) {
					return
				}
				continue
			}
			tight, loose := domainAt(rest)
			for _, d := range []string{tight, loose} {
				if d = strings.Trim(d, ".-"); d != "" && !yield(d) {
					return
				}
			}
		}
	}
}

// domainAt is the domain that a text begins with, without blanks in it, and as far as dots go on with them.
func domainAt(s string) (tight, loose string) {
	end := labelsEnd(s)
	tight = s[:end]
	for loose = tight; len(loose) < 1000; {
		rest := strings.TrimLeft(s[end:], " ")
		if !strings.HasPrefix(rest, ".") && !strings.HasSuffix(loose, ".") {
			return tight, loose
		}
		n := labelsEnd(rest)
		if n == 0 {
			return tight, loose
		}
		loose += rest[:n]
		end = len(s) - len(rest) + n
	}
	return tight, loose
}

// labelsEnd is how long the run of labels and dots is that a text begins with.
func labelsEnd(s string) int {
	for i, c := range s {
		if c == '.' || c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) ||
			c >= utf8.RuneSelf && !unicode.IsSpace(c) && !unicode.IsPunct(c) {
			continue
		}
		return i
	}
	return len(s)
}

// withoutComments takes comments out of a field (RFC 5322 §3.2.2).
func withoutComments(s string) string {
	if !strings.Contains(s, "(") {
		return s
	}
	var out strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			if depth == 0 {
				out.WriteString(s[i : i+2])
			}
			i++
			continue
		}
		switch {
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
			continue
		case c == ')' && !quoted && depth > 0:
			depth--
			continue
		}
		if depth == 0 {
			out.WriteByte(c)
		}
	}
	return out.String()
}
