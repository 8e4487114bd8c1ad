package tomlfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

// Quote prints a basic string of TOML. What a terminal would act on is escaped too.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c <= 0xffff:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			fmt.Fprintf(&b, `\U%08X`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// QuoteList prints a list of strings, "" for an empty one.
func QuoteList(values []string) string {
	if len(values) == 0 {
		return ""
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = Quote(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// QuoteSet prints a text as a TOML string, "" for one that is not set.
func QuoteSet(s string) string {
	if s == "" {
		return ""
	}
	return Quote(s)
}

// BlockEnd is where a block of lines ends without the empty lines and comments that follow it apart.
func BlockEnd(lines [][]byte, first, end int) int {
	for end > first+1 {
		line := bytes.TrimSpace(lines[end-1])
		if len(line) > 0 && line[0] != '#' {
			break
		}
		end--
	}
	return end
}
