package rules

import (
	"strings"

	"postern/internal/policy/rulelist"
)

// TOML prints the rules in their canonical form, defaults included: Parse(TOML()) gives the same rules. Comments and
// the layout of the file they came from are not kept.
func (s *Set) TOML() []byte {
	var b strings.Builder
	for i, r := range s.rules {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(r.TOML())
	}
	rulelist.Print(&b, s.lists)
	for i := range s.exceptions {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		s.exceptions[i].Print(&b)
	}
	return []byte(b.String())
}
