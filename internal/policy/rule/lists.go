package rule

import (
	"strings"

	"postern/internal/platform/tomlfile"
)

// ListWord is what a value of a rule begins with that names a list.
const ListWord = "list:"

// ExpressionWord is what a value begins with that is an expression.
const ExpressionWord = "re:"

// Lists are the lists that a condition names, in lower case.
func (m *Match) Lists() (out []string) {
	for _, values := range [][]string{m.Sender, m.Recipient} {
		for _, v := range values {
			if name, is := strings.CutPrefix(v, ListWord); is {
				out = append(out, strings.ToLower(name))
			}
		}
	}
	return out
}

// ListUse is a place where a rule names a list.
type ListUse struct {
	List string
	Rule int // its number among the rules
	At   tomlfile.Span
}
