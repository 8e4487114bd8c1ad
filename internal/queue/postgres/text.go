package postgres

import (
	"strconv"
	"strings"
)

// numbered rewrites the places of arguments: ? is the next, ?2 the second, and both become $2. What stands in quotes
// stays as it is.
func numbered(text string) string {
	var out strings.Builder
	quote, next := byte(0), 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '?':
			digits := i + 1
			for digits < len(text) && '0' <= text[digits] && text[digits] <= '9' {
				digits++
			}
			if digits > i+1 {
				out.WriteString("$" + text[i+1:digits])
				i = digits - 1
				continue
			}
			next++
			out.WriteString("$" + strconv.Itoa(next))
			continue
		}
		out.WriteByte(c)
	}
	return out.String()
}
