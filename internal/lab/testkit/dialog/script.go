package dialog

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

// Side is one end of a session.
type Side byte

// The sides.
const (
	Client Side = 'C'
	Server Side = 'S'
)

// Script is one scenario.
type Script struct {
	// Comment is what must hold, from before the first section.
	Comment string
	// Sections are all sections but the dialog, by name.
	Sections map[string]string
	steps    []step
}

type step struct {
	line   int    // in the dialog section, from 1
	move   string // "C", "S", or the word in parentheses
	text   string
	count  int
	wait   time.Duration
	source string
}

// Parse reads a txtar file.
func Parse(data []byte) (*Script, error) {
	a := txtar.Parse(data)
	s := &Script{Comment: strings.TrimSpace(string(a.Comment)), Sections: map[string]string{}}
	if s.Comment == "" {
		return nil, fmt.Errorf("dialog: the file does not say what must hold")
	}
	for _, f := range a.Files {
		if f.Name != "dialog" {
			s.Sections[f.Name] = string(f.Data)
			continue
		}
		steps, err := parseSteps(string(f.Data))
		if err != nil {
			return nil, err
		}
		s.steps = steps
	}
	if len(s.steps) == 0 {
		return nil, fmt.Errorf("dialog: no section dialog, or nothing in it")
	}
	return s, nil
}

func parseSteps(text string) ([]step, error) {
	var steps []step
	repeat := 1
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		st, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("dialog: line %d: %w", n, err)
		}
		if st.move == "repeat" {
			repeat = st.count
			continue
		}
		st.line, st.source = n, line
		for range repeat {
			steps = append(steps, st)
		}
		repeat = 1
	}
	return steps, nil
}

func parseStep(line string) (step, error) {
	if (line[0] == 'C' || line[0] == 'S') && len(line) > 1 && line[1] == ':' {
		return step{move: line[:1], text: strings.TrimPrefix(line[2:], " ")}, nil
	}
	inner, ok := strings.CutPrefix(line, "(")
	inner, ok2 := strings.CutSuffix(inner, ")")
	if !ok || !ok2 {
		return step{}, fmt.Errorf("%q is neither C:, S: nor (move)", line)
	}
	move, arg, _ := strings.Cut(inner, " ")
	st := step{move: move, count: 1}
	var err error
	switch move {
	case "raw":
		st.text, err = strconv.Unquote(arg)
	case "fill":
		number, quoted, _ := strings.Cut(arg, " ")
		if st.count, err = strconv.Atoi(number); err == nil {
			st.text, err = strconv.Unquote(quoted)
		}
	case "repeat":
		st.count, err = strconv.Atoi(arg)
	case "wait", "quiet":
		st.wait, err = time.ParseDuration(arg)
	case "tls", "eof", "half", "cut":
		st.text = arg
	default:
		err = fmt.Errorf("unknown move %q", move)
	}
	return st, err
}
