package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"postern/cmd/postern/internal/cli"
	"postern/internal/config"
	"postern/internal/policy"
	"postern/internal/policy/rules"
)

// Documents, hints and help texts tell people what to type and what to write. Here every command line in them is parsed
// by the parser of the binary, and every example of a configuration or of rules is read, without doing any of it.

// documents are the pages of the repository by path below its root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/guide/*.md", "docs/decisions/*.md"} {
		paths, err := filepath.Glob("../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[strings.TrimPrefix(filepath.ToSlash(path), "../../")] = string(text)
		}
	}
	return out
}

// fence is a code block of a page.
var fence = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")

// span is a word of code inside a line of text, or over the end of one.
var span = regexp.MustCompile("`([^`]+)`")

// typing is a command line in a document: as it is to be typed, or, inside a sentence, as a name that may leave things out.
type typing struct {
	line string
	name bool
}

// commandLines are what a page tells people to type.
func commandLines(page string) (lines []typing) {
	add := func(name bool, commands []string) {
		for _, line := range commands {
			lines = append(lines, typing{line, name})
		}
	}
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(m[2]) {
			if m[1] == "" || m[1] == "sh" {
				add(regexp.MustCompile(`\w\|\w`).MatchString(line), typed(line)) // a list of verbs names them
			}
		}
	}
	for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		add(true, typed(strings.Join(strings.Fields(m[1]), " ")))
	}
	for _, m := range regexp.MustCompile(`(?m)^    \$ (postern .*)$`).FindAllStringSubmatch(page, -1) {
		add(false, typed(m[1]))
	}
	return lines
}

// groups are the verbs that have verbs of their own; documents name those without the name of the binary.
var groups = []string{"queue", "rules", "peers", "policies", "trust", "accounts", "store", "config"}

// typed returns the command lines for the binary in a line of a shell: after a prompt, before a comment or, in a list, an
// explanation two blanks away, up to a pipe; "hold|release" is two of them.
func typed(line string) (commands []string) {
	line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
	line, _, _ = strings.Cut(line, " #")
	line, _, _ = strings.Cut(line, "  ")
	line = strings.ReplaceAll(line, "<number>", "1") // is read as such
	for part := range strings.SplitSeq(strings.ReplaceAll(line, " | ", " && "), " && ") {
		part = regexp.MustCompile(`^(sudo |docker exec NAME /usr/bin/|go run \./cmd/)`).ReplaceAllString(strings.TrimSpace(part), "")
		part, _, _ = strings.Cut(part, " > ")
		first, rest, _ := strings.Cut(part, " ")
		switch {
		case first == "postern" && rest != "" && !strings.HasPrefix(rest, "VERB"):
			commands = append(commands, alternatives(rest)...)
		case slices.Contains(groups, first) && regexp.MustCompile(`^[a-z]`).MatchString(rest):
			commands = append(commands, alternatives(part)...)
		}
	}
	return commands
}

// alternatives writes out a word like "hold|release|cancel".
func alternatives(line string) (lines []string) {
	words := strings.Fields(line)
	for i, w := range words {
		if strings.Contains(w, "|") {
			for one := range strings.SplitSeq(w, "|") {
				words[i] = one
				lines = append(lines, alternatives(strings.Join(words, " "))...)
			}
			return lines
		}
	}
	return []string{line}
}

// words splits a line as a shell does, as far as documents need it.
func words(line string) (out []string) {
	for _, m := range regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, m[1]+m[2]+m[3])
	}
	return out
}

// understood parses a command line of a document. One that leaves things out ("trace [--sender ...]", or a name in a
// sentence) is held to its verbs and flags.
func understood(typed typing) error {
	var table commands
	parser, err := newParser(&table, &cli.App{Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		return err
	}
	args := spelled(words(typed.line))
	if strings.ContainsAny(typed.line, "[]") || strings.Contains(typed.line, "...") || slices.Contains(args, "--help") {
		return synopsis(parser.Model.Node, strings.Join(args, " "))
	}
	if _, err = parser.Parse(args); err != nil && typed.name && incomplete.MatchString(err.Error()) {
		return synopsis(parser.Model.Node, typed.line)
	}
	return err
}

// incomplete is how the parser says that something is missing.
var incomplete = regexp.MustCompile(`^expected |^missing |missing value|EOL`)

func synopsis(n *kong.Node, line string) error {
	flags := map[string]bool{"--help": true}
	for _, w := range strings.Fields(strings.NewReplacer("[", " ", "]", " ", "...", " ").Replace(line)) {
		for _, f := range n.Flags {
			flags["--"+f.Name] = true
		}
		name, _, _ := strings.Cut(w, "=")
		next := slices.IndexFunc(n.Children, func(c *kong.Node) bool { return c.Name == w || slices.Contains(c.Aliases, w) })
		switch {
		case next >= 0:
			n = n.Children[next]
		case strings.HasPrefix(w, "--") && !flags[name]:
			return fmt.Errorf("%s has no flag %s", n.Path(), name)
		case !strings.HasPrefix(w, "-") && len(n.Children) > 0:
			return fmt.Errorf("%s has no verb %s", n.Path(), w)
		}
	}
	return nil
}

func TestEveryCommandLineOfTheDocumentsIsUnderstood(t *testing.T) {
	n := 0
	for path, page := range documents(t) {
		for _, line := range commandLines(page) {
			n++
			if err := understood(line); err != nil {
				t.Errorf("%s: %q: %v", path, line.line, err)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d command lines were found", n)
	}
}

// TestACommandLineThatIsWrongIsFound keeps the test above honest.
func TestACommandLineThatIsWrongIsFound(t *testing.T) {
	for _, page := range []string{
		"```\npostern queue kill part.test\n```", "```\n$ postern trace --nobody x  # why\n```", "`postern rules aply rules.toml`",
		"as `rules apply\n--let-it-go` says", "`queue hold|relase NAME`", "```\npostern trace [--sender --resipient ...]\n```",
		"```sh\npostern config check && postern serv\n```", "    $ postern acounts first", "`postern queue list --limit many`",
	} {
		wrong := 0
		for _, line := range commandLines(page) {
			if understood(line) != nil {
				wrong++
			}
		}
		if wrong != 1 {
			t.Errorf("%q: %d mistakes found in %v", page, wrong, commandLines(page))
		}
	}
}

// TestEveryCommandLineThatTheBinaryRecommendsIsUnderstood looks at every `postern ...` in texts and comments of the code, and
// in the pages of the console.
func TestEveryCommandLineThatTheBinaryRecommendsIsUnderstood(t *testing.T) {
	quoted, filled, n := regexp.MustCompile("`(postern [^`]+)`"), regexp.MustCompile(`%\[?\d?\]?[a-z+]`), 0
	look := func(place token.Position, text string) {
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			line := regexp.MustCompile(`\s*\n\s*(//|#)?\s*`).ReplaceAllString(m[1], " ")
			for _, command := range typed(filled.ReplaceAllString(line, "x")) {
				n++
				if err := understood(typing{command, true}); err != nil {
					t.Errorf("%s: %q: %v", place, command, err)
				}
			}
		}
	}
	for _, path := range goSources(t, ".", "../../internal") {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			look(fset.Position(group.Pos()), group.Text())
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if lit, ok := node.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					look(fset.Position(lit.Pos()), text)
				}
			}
			return true
		})
	}
	pages, err := filepath.Glob("../../internal/operator/web/templates/*.html")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, path := range pages {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code := regexp.MustCompile(`\{\{[^}]*\}\}`).ReplaceAllString(string(text), "x")
		for _, m := range regexp.MustCompile(`<code>(postern [^<]*)</code>`).FindAllStringSubmatch(code, -1) {
			look(token.Position{Filename: path}, "`"+m[1]+"`")
		}
	}
	if n < 50 {
		t.Errorf("only %d command lines were found", n)
	}
}

// goSources are the Go files below folders, tests not included.
func goSources(t *testing.T, roots ...string) (paths []string) {
	t.Helper()
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// TestTheGuideNamesEveryVerb holds the list of verbs in docs/guide/commands.md against the table.
func TestTheGuideNamesEveryVerb(t *testing.T) {
	var table commands
	parser, err := newParser(&table, &cli.App{Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, line := range commandLines(documents(t)["docs/guide/commands.md"]) {
		for words := strings.Fields(line.line); len(words) > 0; words = words[:len(words)-1] {
			named[strings.Join(words, " ")] = true
		}
	}
	for _, leaf := range parser.Model.Leaves(true) {
		if verb := strings.TrimPrefix(leaf.FullPath(), "postern "); !named[verb] {
			t.Errorf("docs/guide/commands.md does not name %q", verb)
		}
	}
}

// TestTheExamplesOfTheDocumentsAreRead reads every block of TOML: rules whole, configurations as far as their keys go,
// because examples leave out what they are not about, and name files of another machine.
func TestTheExamplesOfTheDocumentsAreRead(t *testing.T) {
	read := 0
	for path, page := range documents(t) {
		for _, m := range fence.FindAllStringSubmatch(page, -1) {
			if m[1] != "toml" {
				continue
			}
			read++
			if strings.Contains(m[2], "[[rule]]") || strings.Contains(m[2], "[[exception]]") {
				if _, err := rules.Parse(path, []byte(m[2])); err != nil {
					t.Errorf("%v", err)
				}
				continue
			}
			for _, problem := range misread(path, m[2]) {
				t.Errorf("%s", problem)
			}
		}
	}
	if read < 10 {
		t.Errorf("only %d examples were found", read)
	}
	if len(misread("x", "hostnam = 'x'")) != 1 || len(misread("x", "[limits]\nmessage_size = 'many'")) != 1 {
		t.Error("a wrong key or a wrong kind of value is not found")
	}
}

// misread are the problems with an example's keys and with the kinds of its values.
func misread(path, example string) (out []string) {
	_, err := config.Parse(path, "/etc/postern", "gw.example.com", []byte(example))
	var problems *config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems.List {
			if regexp.MustCompile(`unknown key|not TOML|must be|list of tables|only one|is a value`).MatchString(p.What) {
				out = append(out, p.Error())
			}
		}
	}
	return out
}

// TestKeysOfTheConfigurationThatDocumentsNameExist looks at `limits.hops` and at `[limits] hops`.
func TestKeysOfTheConfigurationThatDocumentsNameExist(t *testing.T) {
	sections, found := sectionsOfTheConfiguration(), 0
	dotted := regexp.MustCompile(`^([a-z_]+)\.([a-z_0-9]+)(?: = .*)?$`)
	bracketed := regexp.MustCompile(`^\[+([a-z_]+)\]+ ([a-z_0-9]+)(?: = .*)?$`)
	for path, page := range documents(t) {
		for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
			text := strings.Join(strings.Fields(m[1]), " ")
			key, inBrackets := bracketed.FindStringSubmatch(text), true
			if key == nil {
				key, inBrackets = dotted.FindStringSubmatch(text), false
			}
			ofCode := path == "ARCHITECTURE.md" || path == "docs/flow.md" // there a dot is one of Go
			if key == nil || !inBrackets && (ofCode || sections[key[1]] == nil || key[2] == "go" || key[2] == "db" || key[2] == "md") {
				continue
			}
			found++
			if !slices.Contains(sections[key[1]], key[2]) {
				t.Errorf("%s: there is no key %s", path, text)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d keys were found", found)
	}
}

// sectionsOfTheConfiguration maps each section to its keys.
func sectionsOfTheConfiguration() map[string][]string {
	out := map[string][]string{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		table := field.Type
		if table.Kind() == reflect.Slice {
			table = table.Elem()
		}
		if name := field.Tag.Get("toml"); name != "" && table.Kind() == reflect.Struct {
			for _, key := range reflect.VisibleFields(table) {
				out[name] = append(out[name], key.Tag.Get("toml"))
			}
		}
	}
	return out
}

// TestReasonsThatDocumentsNameExist looks at every `cert-expired` and its like.
func TestReasonsThatDocumentsNameExist(t *testing.T) {
	known, groups, found := map[string]bool{}, map[string]bool{}, 0
	for _, r := range policy.Reasons() {
		known[string(r.Reason)] = true
		group, _, _ := strings.Cut(string(r.Reason), "-")
		groups[group] = true
	}
	for path, page := range documents(t) {
		for _, m := range regexp.MustCompile("`([a-z]+)((?:-[a-z0-9]+)+)`").FindAllStringSubmatch(page, -1) {
			if groups[m[1]] && !slices.Contains(notReasons, m[1]+m[2]) {
				found++
				if !known[m[1]+m[2]] {
					t.Errorf("%s names the reason %s%s, which does not exist", path, m[1], m[2])
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d reasons were found", found)
	}
}

// notReasons are other codes that begin with the word of a reason: rungs, a note of an attempt, a finding of check.
var notReasons = []string{"dane-ee", "dane-ta", "tls-classical", "tls-legacy", "mx-pinned-first-use", "tls-stripped-here"}
