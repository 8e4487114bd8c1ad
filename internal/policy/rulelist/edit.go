package rulelist

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rule"
)

// contentNote stands above what the files of lists held.
const contentNote = "# What the files of lists held when these rules were applied. It is read anew each time they " +
	"are.\n"

// File is what was found of the file of a list.
type File struct {
	Content []byte
	// Wrong says why it cannot be read, "" that it was, and Hint what to do.
	Wrong, Hint string
}

// Fill returns a rules file with what the files of its lists hold, in entries [[content]] at its end; those that were
// there are replaced. read is asked once for each file. Lines keep their numbers. An error is a *ParseError that tells
// at the list what is wrong in its file, and in which line of that. A text that does not parse is returned as it is:
// Parse tells what is wrong with it.
func Fill(name string, text []byte, read func(file string) File) ([]byte, error) {
	if !bytes.Contains(text, []byte("list")) && !bytes.Contains(text, []byte("content")) {
		return text, nil
	}
	p := rule.NewProblems(text)
	root := p.Root()
	if root == nil {
		return text, nil
	}
	var b strings.Builder
	known := map[string]bool{}
	for _, item := range root.Get("list").Tables() {
		e := item.Entry("file")
		if e.Value == nil || e.Value.Kind != unstable.String || known[e.Value.Text] {
			continue
		}
		file := e.Value.Text
		known[file] = true
		if !checkListFile(&p.Problems, e, file) {
			continue
		}
		found := read(file)
		if found.Wrong != "" {
			p.Add(e.Value.At, fmt.Sprintf("the list's file %s cannot be read: %s", tomlfile.Quote(tomlfile.Clip(file)),
				found.Wrong), found.Hint)
			continue
		}
		values, wrong := ReadFile(found.Content)
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

// withContent is a text with other contents at its end.
func withContent(source []byte, root *tomlfile.Node, content string) []byte {
	lines := bytes.SplitAfter(source, []byte("\n"))
	drop := make([]bool, len(lines))
	for _, item := range root.Get("content").Tables() {
		number, _, _ := tomlfile.LineAt(source, item.At.Offset)
		end := number // of the block, a line number
		for end < len(lines) && !bytes.HasPrefix(bytes.TrimSpace(lines[end]), []byte("[")) {
			end++
		}
		for i := number - 1; i < tomlfile.BlockEnd(lines, number-1, end); i++ {
			drop[i] = true
		}
	}
	var out bytes.Buffer
	for i, line := range lines {
		if !drop[i] && string(line) != contentNote {
			out.Write(line)
		}
	}
	if content == "" && len(root.Get("content").Tables()) == 0 {
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
	// ErrFromFile: the values of the list come from a file.
	ErrFromFile = errors.New("the values of this list come from a file; change that and apply the rules")
)

// Replace returns a rules file in which the list of a name, in any case, has other values, one a line. The rest
// stays as it is. The result is not checked.
func Replace(text []byte, name string, values []string) ([]byte, error) {
	p := rule.NewProblems(text)
	root := p.Root()
	if root == nil {
		return nil, p.Err("rules")
	}
	for _, item := range root.Get("list").Tables() {
		if n := item.Get("name"); n == nil || !strings.EqualFold(n.Text, name) {
			continue
		}
		if file := item.Get("file"); file != nil {
			return nil, fmt.Errorf("%w: %s", ErrFromFile, tomlfile.Quote(tomlfile.Clip(file.Text)))
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
