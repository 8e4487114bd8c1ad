package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"postern/tools/tree"
)

// What is known of the command line comes from the manual page that the binary itself prints.

// verb is a command of the binary with what it takes.
type verb struct {
	line, help       string
	arguments, flags []string
}

// manual runs `postern man`.
func manual(t *tree.Tree) (string, error) {
	cmd := exec.Command("go", "run", "-buildvcs=false", "./cmd/postern", "man")
	cmd.Dir = t.Root
	out, err := cmd.Output()
	return string(out), err
}

// section is what stands below a heading of the manual.
func section(page, heading string) string {
	_, rest, _ := strings.Cut(page, ".SH "+heading+"\n")
	body, _, _ := strings.Cut(rest, "\n.SH ")
	return body
}

// read takes the marks of roff out of a line.
func read(line string) string {
	return strings.NewReplacer(`\-`, "-", `\&`, "", `\e`, `\`).Replace(line)
}

// verbs reads the section of verbs.
func verbs(page string) (out []verb) {
	for line := range strings.Lines(section(page, "VERBS")) {
		line = read(strings.TrimRight(line, "\n"))
		switch last := len(out) - 1; {
		case strings.HasPrefix(line, `.SS "`):
			out = append(out, verb{line: strings.Trim(line[4:], `"`)})
		case last < 0:
		case strings.HasPrefix(line, ".I "):
			out[last].arguments = append(out[last].arguments, line[3:])
		case strings.HasPrefix(line, ".B "):
			out[last].flags = append(out[last].flags, line[3:])
		case !strings.HasPrefix(line, ".") && out[last].help == "":
			out[last].help = line
		}
	}
	return out
}

// remote are flags that many verbs have; the page explains them once.
var remote = []string{"--socket", "--server", "--token-file", "--ca", "--json"}

// commands lists every verb with its arguments and flags.
func commands(t *tree.Tree, _ string) (string, error) {
	page, err := manual(t)
	if err != nil {
		return "", fmt.Errorf("the manual: %w", err)
	}
	var rows [][]string
	flag := regexp.MustCompile(`--[a-z-]+`)
	for _, v := range verbs(page) {
		var names []string
		asks := false
		for _, f := range v.flags {
			name := flag.FindString(f)
			asks = asks || name == "--socket"
			if !slices.Contains(remote, name) {
				names = append(names, "`"+name+"`")
			}
		}
		what, _, _ := strings.Cut(strings.ReplaceAll(v.help, "|", "\\|"), ". ")
		what = strings.TrimSuffix(what, ".")
		if asks {
			what += " •"
		}
		line := strings.Join(append([]string{v.line}, v.arguments...), " ")
		rows = append(rows, []string{"`" + strings.TrimPrefix(line, "postern postern ") + "`", what,
			strings.Join(names, " ")})
	}
	if len(rows) < 20 {
		return "", fmt.Errorf("only %d verbs are in the manual", len(rows))
	}
	return table([]string{"command", "what it does", "flags"}, rows), nil
}

// exitCodes lists the exit codes.
func exitCodes(t *tree.Tree, _ string) (string, error) {
	page, err := manual(t)
	if err != nil {
		return "", fmt.Errorf("the manual: %w", err)
	}
	var rows [][]string
	for line := range strings.Lines(section(page, "EXIT STATUS")) {
		line = read(strings.TrimSpace(line))
		if code, found := strings.CutPrefix(line, ".B "); found {
			rows = append(rows, []string{code})
		} else if last := len(rows) - 1; last >= 0 && !strings.HasPrefix(line, ".") {
			rows[last] = append(rows[last], line)
		}
	}
	return table([]string{"code", "means"}, rows), nil
}
