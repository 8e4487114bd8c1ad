package received

import (
	"strings"
)

// What Extract looks at.
const (
	MaxText   = 1 << 20 // bytes of text
	MaxFields = 1000    // Received lines, the newest first
)

// Field is one Received line as it was found.
type Field struct {
	Value    string // what follows the colon, unfolded
	Line     int    // where it begins in the text, counted from 1
	Repaired bool   // a continuation had lost its indent
}

// Found is what a text holds.
type Found struct {
	Received  []Field // in the order of the text: the newest first
	Others    int     // header fields of other names
	Truncated bool    // there is more text or more lines than Extract looks at
}

// Extract finds the Received lines in the header section of a message, in a header block, or in something pasted: with
// either line end, a byte order mark, an mbox From_ line, a quotation mark before each line, the whole block indented,
// an empty line after each line, and continuations that lost their indent, as far as they can be told from fields.
// Text behind the header section is never read.
func Extract(text []byte) Found {
	var found Found
	if len(text) > MaxText {
		text, found.Truncated = text[:MaxText], true
	}
	x := extractor{found: &found}
	for _, line := range straighten(split(string(text))) {
		if !x.take(line) {
			found.Truncated = false // the section ended before the text did
			break
		}
	}
	x.flush()
	if len(found.Received) > MaxFields {
		found.Received, found.Truncated = found.Received[:MaxFields], true
	}
	return found
}

// numbered is a physical line without its end.
type numbered struct {
	text string
	n    int
}

// split cuts text at its line ends: CRLF, LF, or CR where there is nothing else.
func split(text string) []numbered {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(text, "\u00a0", " ") // web pages indent with these
	end := "\n"
	if !strings.Contains(text, "\n") {
		end = "\r"
	}
	var out []numbered
	for line := range strings.SplitSeq(text, end) {
		out = append(out, numbered{strings.TrimRight(line, "\r"), len(out) + 1})
	}
	return out
}

// straighten removes what pasting put around the lines.
func straighten(lines []numbered) []numbered {
	for len(lines) > 0 && (strings.TrimSpace(lines[0].text) == "" || isFromLine(lines[0].text)) {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return nil
	}
	if strings.HasPrefix(lines[0].text, ">") {
		lines = unquote(lines)
	}
	if isDoubleSpaced(lines) {
		lines = singleSpaced(lines)
	}
	first := lines[0].text
	if indent := first[:len(first)-len(strings.TrimLeft(first, " \t"))]; indent != "" {
		for i := range lines {
			lines[i].text = strings.TrimPrefix(lines[i].text, indent)
		}
	}
	return lines
}

// isFromLine recognises the line before a message in an mbox file.
func isFromLine(s string) bool {
	return strings.HasPrefix(s, "From ") || strings.HasPrefix(s, ">From ")
}

// unquote takes the quotation mark of a reply from each line.
func unquote(lines []numbered) []numbered {
	for i := range lines {
		text, quoted := strings.CutPrefix(lines[i].text, ">")
		if !quoted {
			return lines[:i]
		}
		lines[i].text = strings.TrimPrefix(text, " ")
	}
	return lines
}

// isDoubleSpaced recognises a paste with an empty line after each line. A message whose header section is a single
// line looks the same; only where Received lines go on after the first empty line it is taken for a paste.
func isDoubleSpaced(lines []numbered) bool {
	received := 0
	for i := 0; i < min(len(lines), 24); i++ {
		empty := lines[i].text == ""
		if empty != (i%2 == 1) && !(empty && i == len(lines)-1) {
			return false
		}
		if name, _, ok := cutField(lines[i].text); ok && i > 0 && strings.EqualFold(name, "received") {
			received++
		}
	}
	return received > 0
}

func singleSpaced(lines []numbered) []numbered {
	var out []numbered
	for i := 0; i < len(lines); i += 2 {
		out = append(out, lines[i])
	}
	return out
}

// extractor puts physical lines together to fields.
type extractor struct {
	found   *Found
	begun   bool   // a field has been seen
	current *Field // the open Received line
	value   strings.Builder
	repairs int
}

// maxRepairs bounds the continuations without indent of one line.
const maxRepairs = 20

// take reads the next line; false is the end of the section.
func (x *extractor) take(line numbered) bool {
	if line.text == "" {
		return !x.begun
	}
	if line.text[0] == ' ' || line.text[0] == '\t' {
		x.add(strings.TrimLeft(line.text, " \t"))
		return true
	}
	name, value, ok := cutField(line.text)
	if x.current != nil && x.repairs < maxRepairs && (!ok || !wellSpaced(value)) && !x.complete() {
		x.repairs++
		x.current.Repaired = true
		x.add(line.text)
		return true
	}
	x.flush()
	if !ok {
		return true
	}
	x.begun = true
	if !strings.EqualFold(name, "received") {
		x.found.Others++
		return true
	}
	x.current, x.repairs = &Field{Line: line.n}, 0
	x.add(strings.TrimLeft(value, " \t"))
	return true
}

// add appends to the open line, with one blank for the fold.
func (x *extractor) add(text string) {
	if x.current == nil || x.value.Len() > MaxLine {
		return
	}
	if x.value.Len() > 0 {
		x.value.WriteByte(' ')
	}
	x.value.WriteString(text)
}

// complete reports whether the open line has its date.
func (x *extractor) complete() bool {
	_, _, date := cutDate(tokenize(x.value.String()))
	return !date.IsZero()
}

func (x *extractor) flush() {
	if x.current == nil {
		return
	}
	x.current.Value = strings.TrimRight(x.value.String(), " \t")
	x.found.Received = append(x.found.Received, *x.current)
	x.current = nil
	x.value.Reset()
}

// cutField splits "Name: value". Names of fields in the field begin with a letter and have letters, digits, hyphens and
// underscores; what RFC 5322 §3.6.8 allows beyond that is more likely a lost continuation.
func cutField(s string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(s, ":")
	name = strings.TrimRight(name, " \t")
	if !ok || name == "" || len(name) > 76 {
		return "", "", false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '-' && c != '_' && (c < '0' || c > '9')) {
			return "", "", false
		}
	}
	return name, value, true
}

// wellSpaced reports whether a value stands off its colon, as all programs write it. In the middle of a Received line
// "IPv6:2001:db8::1" is no field.
func wellSpaced(value string) bool {
	return value == "" || value[0] == ' ' || value[0] == '\t'
}
