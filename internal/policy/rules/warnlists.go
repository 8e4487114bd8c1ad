package rules

import (
	"fmt"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rule"
)

// exceptionWarnings tell of exceptions that have ended or are about to.
func (s *Set) exceptionWarnings(now time.Time) (out []Warning) {
	for i := range s.exceptions {
		x := &s.exceptions[i]
		w := Warning{Rule: x.Title(), Line: x.Line}
		switch {
		case x.Expires.Over(now):
			w.Text, w.Hint = fmt.Sprintf("has ended (%s): what %s publishes is kept to again", x.Expires, x.Domain),
				"remove it"
		case x.Expires.At.Sub(now) <= warnBefore:
			w.Text, w.Hint = fmt.Sprintf("ends (%s): what %s publishes is kept to again then", x.Expires, x.Domain),
				"`postern check "+x.Domain.String()+"` shows whether mail would go"
		default:
			continue
		}
		out = append(out, w)
	}
	return out
}

// listWarnings tell of lists that no rule names, that are empty, or whose file was not read.
func (s *Set) listWarnings() (out []Warning) {
	all := s.users()
	for i := range s.lists {
		l := &s.lists[i]
		add := func(text, hint string) {
			out = append(out, Warning{Rule: l.Title(), Line: l.Line, Text: text, Hint: hint})
		}
		users := all[strings.ToLower(l.Name)]
		switch {
		case len(users) == 0:
			add("is named by no rule", `write `+tomlfile.Quote(rule.ListWord+l.Name)+" as a sender or recipient, or "+
				"take the list out")
		case l.Unread:
			add(fmt.Sprintf("has not been read from %s: everybody counts as in it",
				tomlfile.Quote(tomlfile.Clip(l.File))), "apply the rules with `postern rules apply`, which reads it")
		case len(l.Values) == 0:
			add("is empty: rule "+mail.AtMost(users, 3, ", ")+" covers nobody by it",
				"add values, or take it out of the rule")
		}
	}
	return out
}
