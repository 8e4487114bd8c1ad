package rulelist

import (
	"fmt"
	"strings"

	"postern/internal/platform/tomlfile"
)

// print writes a list in its canonical form.
func (l *List) print(b *strings.Builder) {
	fmt.Fprintf(b, "[[list]]\nname = %s\n", tomlfile.Quote(l.Name))
	if l.File != "" {
		fmt.Fprintf(b, "file = %s\n", tomlfile.Quote(l.File))
		return
	}
	printValues(b, l.Values)
}

// printValues writes the values of a list, one a line.
func printValues(b *strings.Builder, values []string) {
	b.WriteString("values = [\n")
	for _, v := range values {
		b.WriteString("  " + tomlfile.Quote(v) + ",\n")
	}
	b.WriteString("]\n")
}

// Print writes the lists, and what their files held.
func Print(b *strings.Builder, lists []List) {
	blank := func() {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
	}
	for i := range lists {
		blank()
		lists[i].print(b)
	}
	known := map[string]bool{}
	for i := range lists {
		l := &lists[i]
		if l.File == "" || l.Unread || known[l.File] {
			continue
		}
		known[l.File] = true
		blank()
		fmt.Fprintf(b, "[[content]]\nfile = %s\n", tomlfile.Quote(l.File))
		printValues(b, l.Values)
	}
}
