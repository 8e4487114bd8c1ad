package rulelist

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// MaxFile is how large the file of a list may be, in bytes.
const MaxFile = 8 << 20

// readContents reads [[content]]: by file, what it held.
func readContents(p *tomlfile.Problems, e tomlfile.Entry) map[string][]string {
	out := map[string][]string{}
	if e.Value == nil {
		return out
	}
	const hint = "postern writes [[content]] itself, from the files of lists; take it out and apply the rules"
	if e.Value.Kind != unstable.Array {
		p.Add(e.At, "content must be a list", hint)
		return out
	}
	for _, item := range e.Value.Items {
		file := ""
		if item.Kind == unstable.Table {
			if f := item.Get("file"); f != nil && f.Kind == unstable.String {
				file = f.Text
			}
		}
		values := item.Get("values")
		if file == "" || values == nil || values.Kind != unstable.Array || len(item.Keys) != 2 {
			p.Add(item.At, "[[content]] must have file and values, and nothing else", hint)
			continue
		}
		if _, twice := out[file]; twice {
			p.Add(item.At, "two entries [[content]] of the file "+tomlfile.Quote(tomlfile.Clip(file)), hint)
		}
		out[file] = []string{}
		var scratch pattern.Addresses
		for _, v := range values.Items {
			wrong := "not a string"
			if v.Kind == unstable.String {
				wrong = addEntry(&scratch, v.Text)
			}
			if wrong != "" {
				p.Add(v.At, tomlfile.Quote(tomlfile.Clip(v.Text))+" in [[content]]: "+wrong, hint)
			}
			out[file] = append(out[file], v.Text)
		}
	}
	return out
}

// checkListFile asks for a path. Its name says that it is a list: what is wrong in a file is told to whoever applies
// rules, and no other file of the gateway is read for them.
func checkListFile(p *tomlfile.Problems, e tomlfile.Entry, s string) bool {
	named := slices.ContainsFunc([]string{".txt", ".csv", ".list"},
		func(end string) bool { return strings.HasSuffix(strings.ToLower(s), end) })
	if !named || len(s) > 4096 || strings.ContainsFunc(s, unicode.IsControl) {
		p.Add(e.Value.At, fmt.Sprintf("file cannot be %s", tomlfile.Quote(tomlfile.Clip(s))),
			`write the path of a text file that ends with .txt, .csv or .list: "clinics.txt"`)
		return false
	}
	return true
}

// ReadFile reads the file of a list: one value a line, or the first column of a table with commas, semicolons or
// tabs, whose heading is passed over. What follows # in a line, or alone after a blank, is a comment. A
// byte order mark and CRLF are tolerated. wrong says what is wrong, each with "line 12: " in front, at most a few.
func ReadFile(content []byte) (values, wrong []string) {
	const most = 20
	complain := func(line int, what string) {
		if len(wrong) < most {
			wrong = append(wrong, fmt.Sprintf("line %d: %s", line, what))
		}
	}
	if len(content) > MaxFile {
		complain(1, fmt.Sprintf("the file has %d bytes, at most %d are allowed", len(content), MaxFile))
		return nil, wrong
	}
	content = tomlfile.Unmarked(content)
	if !utf8.Valid(content) {
		complain(1, "the file is not UTF-8; save it as UTF-8")
		return nil, wrong
	}
	var scratch pattern.Addresses
	seen := map[string]bool{}
	number, first := 0, true
	for line := range bytes.Lines(content) {
		number++
		value := firstColumn(strings.TrimRight(string(line), "\r\n"))
		heading := first && isHeading(value)
		first = first && value == ""
		if value == "" || heading || seen[value] {
			continue
		}
		seen[value] = true
		if why := addEntry(&scratch, value); why != "" {
			complain(number, tomlfile.Quote(tomlfile.Clip(value))+": "+why)
		}
		values = append(values, value)
	}
	return values, wrong
}

// firstColumn is the first value of a line, without a comment.
func firstColumn(line string) string {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return ""
	}
	quoted, end := strings.HasPrefix(line, `"`), len(line)
	inside := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			inside = !inside
		case c == '\\' && inside:
			i++
		case inside:
		case c == ',' || c == ';' || c == '\t', c == '#' && (line[i-1] == ' ' || line[i-1] == '\t'):
			end = i
		}
		if end < len(line) {
			break // out of the loop
		}
	}
	value := strings.TrimSpace(line[:end])
	if quoted && len(value) > 1 && strings.HasSuffix(value, `"`) { // of a table; an address ends with its domain
		value = strings.TrimSpace(strings.ReplaceAll(value[1:len(value)-1], `""`, `"`))
	}
	return value
}

// isHeading reports whether a value is what tables call their first column.
func isHeading(value string) bool {
	switch strings.ToLower(value) {
	case "domain", "domains", "address", "addresses", "email", "e-mail", "mail", "recipient", "recipients", "sender",
		"senders", "name", "value", "values":
		return true
	}
	return false
}
