package rules

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// MaxListFile is how large the file of a list may be, in bytes.
const MaxListFile = 8 << 20

// contentNote stands above what the files of lists held.
const contentNote = "# What the files of lists held when these rules were applied. It is read anew each time they " +
	"are.\n"

// readContents reads [[content]]: by file, what it held.
func readContents(p *problems, e tomlfile.Entry) map[string][]string {
	out := map[string][]string{}
	if e.Value == nil {
		return out
	}
	const hint = "postern writes [[content]] itself, from the files of lists; take it out and apply the rules"
	if e.Value.Kind != unstable.Array {
		p.Add(e.At, "content must be a list", hint)
		return out
	}
	lines := lineCounter{source: p.Source}
	for _, item := range e.Value.Items {
		p.lists.contents = append(p.lists.contents, lines.at(item.At.Offset))
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
func checkListFile(p *problems, e tomlfile.Entry, s string) bool {
	named := slices.ContainsFunc([]string{".txt", ".csv", ".list"},
		func(end string) bool { return strings.HasSuffix(strings.ToLower(s), end) })
	if !named || len(s) > 4096 || strings.ContainsFunc(s, unicode.IsControl) {
		p.Add(e.Value.At, fmt.Sprintf("file cannot be %s", tomlfile.Quote(tomlfile.Clip(s))),
			`write the path of a text file that ends with .txt, .csv or .list: "clinics.txt"`)
		return false
	}
	return true
}

// ReadListFile reads the file of a list: one value a line, or the first column of a table with commas, semicolons or
// tabs, whose heading is passed over. What follows # in a line, or alone after a blank, is a comment. A
// byte order mark and CRLF are tolerated. wrong says what is wrong, each with "line 12: " in front, at most a few.
func ReadListFile(content []byte) (values, wrong []string) {
	const most = 20
	complain := func(line int, what string) {
		if len(wrong) < most {
			wrong = append(wrong, fmt.Sprintf("line %d: %s", line, what))
		}
	}
	if len(content) > MaxListFile {
		complain(1, fmt.Sprintf("the file has %d bytes, at most %d are allowed", len(content), MaxListFile))
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

// ListFile is what was found of the file of a list.
type ListFile struct {
	Content []byte
	// Wrong says why it cannot be read, "" that it was, and Hint what to do.
	Wrong, Hint string
}

// Fill returns a rules file with what the files of its lists hold, in entries [[content]] at its end; those that were
// there are replaced. read is asked once for each file. Lines keep their numbers. An error is a *ParseError that tells
// at the list what is wrong in its file, and in which line of that. A text that does not parse is returned as it is:
// Parse tells what is wrong with it.
func Fill(name string, text []byte, read func(file string) ListFile) ([]byte, error) {
	if !bytes.Contains(text, []byte("list")) && !bytes.Contains(text, []byte("content")) {
		return text, nil
	}
	p := newProblems(text)
	root := p.tree()
	if root == nil {
		return text, nil
	}
	var b strings.Builder
	known := map[string]bool{}
	for _, item := range items(root.Get("list")) {
		e := item.Entry("file")
		if e.Value == nil || e.Value.Kind != unstable.String || known[e.Value.Text] {
			continue
		}
		file := e.Value.Text
		known[file] = true
		if !checkListFile(p, e, file) {
			continue
		}
		found := read(file)
		if found.Wrong != "" {
			p.Add(e.Value.At, fmt.Sprintf("the list's file %s cannot be read: %s", tomlfile.Quote(tomlfile.Clip(file)),
				found.Wrong), found.Hint)
			continue
		}
		values, wrong := ReadListFile(found.Content)
		for _, w := range wrong {
			p.Add(e.Value.At, file+" "+w, listHint)
		}
		fmt.Fprintf(&b, "\n[[content]]\nfile = %s\n", tomlfile.Quote(file))
		printValues(&b, values)
	}
	if err := p.Err(name); err != nil {
		return nil, err
	}
	return withContent(p.Source, root, b.String()), nil
}

// items are the tables of a list of tables.
func items(list *tomlfile.Node) []*tomlfile.Node {
	if list == nil || list.Kind != unstable.Array {
		return nil
	}
	var out []*tomlfile.Node
	for _, i := range list.Items {
		if i.Kind == unstable.Table {
			out = append(out, i)
		}
	}
	return out
}

// withContent is a text with other contents at its end.
func withContent(source []byte, root *tomlfile.Node, content string) []byte {
	lines := bytes.SplitAfter(source, []byte("\n"))
	drop := make([]bool, len(lines))
	for _, item := range items(root.Get("content")) {
		number, _, _ := tomlfile.LineAt(source, item.At.Offset)
		end := number // of the block, a line number
		for end < len(lines) && !bytes.HasPrefix(bytes.TrimSpace(lines[end]), []byte("[")) {
			end++
		}
		for i := number - 1; i < withoutBlanks(lines, number-1, end); i++ {
			drop[i] = true
		}
	}
	var out bytes.Buffer
	for i, line := range lines {
		if !drop[i] && string(line) != contentNote {
			out.Write(line)
		}
	}
	if content == "" && len(items(root.Get("content"))) == 0 {
		return source
	}
	text := bytes.TrimRight(out.Bytes(), " \t\r\n")
	if len(text) > 0 {
		text = append(text, '\n')
	}
	if content != "" {
		text = append(text, "\n"+contentNote+strings.TrimPrefix(content, "\n")...)
	}
	return text
}

// Errors of ReplaceList.
var (
	// ErrNoList: the file has no list of that name.
	ErrNoList = errors.New("there is no list of this name")
	// ErrListFile: the values of the list come from a file.
	ErrListFile = errors.New("the values of this list come from a file; change that and apply the rules")
)

// ReplaceList returns a rules file in which the list of a name, in any case, has other values, one a line. The rest
// stays as it is. The result is not checked.
func ReplaceList(text []byte, name string, values []string) ([]byte, error) {
	p := newProblems(text)
	root := p.tree()
	if root == nil {
		return nil, p.Err("rules")
	}
	for _, item := range items(root.Get("list")) {
		if n := item.Get("name"); n == nil || !strings.EqualFold(n.Text, name) {
			continue
		}
		if file := item.Get("file"); file != nil {
			return nil, fmt.Errorf("%w: %s", ErrListFile, tomlfile.Quote(tomlfile.Clip(file.Text)))
		}
		e := item.Entry("values")
		if e.Value == nil {
			break
		}
		var b strings.Builder
		printValues(&b, values)
		end := valueEnd(p.Source, e.At.Offset)
		out := append(bytes.Clone(p.Source[:e.At.Offset]), strings.TrimSuffix(b.String(), "\n")...)
		return append(out, p.Source[end:]...), nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoList, tomlfile.Quote(tomlfile.Clip(name)))
}

// valueEnd is where the list ends that is the value of a key at an offset. The text is TOML.
func valueEnd(source []byte, at int) int {
	depth := 0
	for i := at; i < len(source); i++ {
		switch c := source[i]; c {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '#':
			if end := bytes.IndexByte(source[i:], '\n'); end >= 0 {
				i += end
			}
		case '"', '\'':
			i = stringEnd(source, i)
		}
	}
	return len(source)
}

// stringEnd is the last octet of a string that begins at an offset.
func stringEnd(source []byte, at int) int {
	c := source[at]
	quotes := string([]byte{c})
	if bytes.HasPrefix(source[at:], []byte(strings.Repeat(quotes, 3))) {
		quotes = strings.Repeat(quotes, 3)
	}
	for i := at + len(quotes); i < len(source); i++ {
		switch {
		case source[i] == '\\' && c == '"':
			i++
		case bytes.HasPrefix(source[i:], []byte(quotes)):
			i += len(quotes) - 1
			for len(quotes) == 3 && i+1 < len(source) && source[i+1] == c { // quotation marks before the closing ones
				i++
			}
			return i
		}
	}
	return len(source)
}
