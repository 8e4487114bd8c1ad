package ruleedit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// Errors of Edit.
var (
	// ErrNoRule: the file has no rule of that name.
	ErrNoRule = errors.New("there is no rule of this name")
	// ErrInline: the file writes its rules in a form in which one cannot be cut out.
	ErrInline = errors.New("the rules of this file are not each under a line [[rule]]; edit the file as a whole")
)

// Edit returns a rules file with one rule changed and everything else, comments and layout included, as it was. name
// says which rule, case does not matter; "" adds one at the end. rule is its new text, with the line [[rule]]; ""
// deletes it, together with the comment lines right above it. text must be a valid file. The result is not checked.
func Edit(text []byte, name, rule string) ([]byte, error) {
	set, err := rules.Parse("rules", text)
	if err != nil {
		return nil, err
	}
	text = tomlfile.Unmarked(text)
	if name == "" {
		return added(text, ended(rule)), nil
	}
	list := set.Rules()
	for i := range list {
		if strings.EqualFold(list[i].Name, name) {
			return replaced(text, list[i].Line, ended(rule))
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoRule, tomlfile.Quote(tomlfile.Clip(name)))
}

// ErrNoException: the file has no exception for that domain.
var ErrNoException = errors.New("there is no exception for this domain")

// Except is Edit for the exception of a domain: block is its new text, with the line [[exception]], which is added
// where the domain has none; "" deletes it, and is ErrNoException where there is none.
func Except(text []byte, domain mail.Domain, block string) ([]byte, error) {
	set, err := rules.Parse("rules", text)
	if err != nil {
		return nil, err
	}
	text = tomlfile.Unmarked(text)
	list := set.Exceptions()
	for i := range list {
		if list[i].Domain == domain {
			return replaced(text, list[i].Line, ended(block))
		}
	}
	if block == "" {
		return nil, ErrNoException
	}
	return added(text, ended(block)), nil
}

// ended is a block with the end of its last line.
func ended(block string) string {
	block = string(tomlfile.Unmarked([]byte(block)))
	if block != "" && !strings.HasSuffix(block, "\n") {
		block += "\n"
	}
	return block
}

// replaced is a file with another block at a line, which is counted from 1.
func replaced(text []byte, line int, block string) ([]byte, error) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	first, end := line-1, len(lines)
	next := next(text, line)
	if next > 0 {
		end = above(lines, next-1)
	}
	if !headed(lines[first]) || next > 0 && !headed(lines[next-1]) {
		return nil, ErrInline
	}
	end = tomlfile.BlockEnd(lines, first, end)
	if block == "" {
		first = above(lines, first)
		if end < len(lines) && len(bytes.TrimSpace(lines[end])) == 0 {
			end++
		}
		for end == len(lines) && first > 0 && len(bytes.TrimSpace(lines[first-1])) == 0 {
			first-- // what set the last block apart
		}
	}
	out := bytes.Join(lines[:first], nil)
	out = append(out, block...)
	return append(out, bytes.Join(lines[end:], nil)...), nil
}

// added is a file with a rule at its end, apart by an empty line.
func added(text []byte, rule string) []byte {
	out := bytes.TrimRight(text, " \t\r\n")
	if len(out) > 0 {
		out = append(bytes.Clone(out), "\n\n"...)
	}
	return append(out, rule...)
}

// next is the line at which the first rule, exception, list or content after a line begins, 0 where there is none.
func next(text []byte, line int) (next int) {
	root := rule.NewProblems(text).Root()
	for _, word := range blocks() {
		lines := tomlfile.LineCounter{Source: text}
		for _, item := range root.Get(word).Tables() {
			if l := lines.At(item.At.Offset); l > line && (next == 0 || l < next) {
				next = l
			}
		}
	}
	return next
}

// blocks are the words that begin a block of a rules file, in double brackets.
func blocks() []string { return []string{"rule", "exception", "list", "content"} }

// headed reports whether a line begins a rule, an exception, a list or what one held.
func headed(line []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(line, " \t"), []byte("[["))
	rest = bytes.TrimLeft(rest, " \t")
	return ok && slices.ContainsFunc(blocks(), func(word string) bool {
		return bytes.HasPrefix(rest, []byte(word))
	})
}

// above is the first of the comment lines that stand right above a line: they speak of what is below.
func above(lines [][]byte, line int) int {
	for line > 0 && bytes.HasPrefix(bytes.TrimSpace(lines[line-1]), []byte("#")) {
		line--
	}
	return line
}
