package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/tools/tree"
)

// Documents say nothing that the tree can contradict: what stands in them twice, once in words and once in code, is
// compared here. The command lines and configurations in them are tried by cmd/postern.

// documents are the pages of the repository by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/guide/*.md", "docs/decisions/*.md", "bench/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			out[filepath.ToSlash(path)] = read(t, path)
		}
	}
	if len(out) < 30 {
		t.Fatalf("only %d documents found", len(out))
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDependenciesAreWhereTheTableSays holds the table of decision 6 against go.mod and against who imports what.
func TestDependenciesAreWhereTheTableSays(t *testing.T) {
	page := read(t, "docs/decisions/0006-dependencies.md")
	module, place := regexp.MustCompile("`([a-z.]+\\.[a-z]+/[^`]+)`"), regexp.MustCompile("`([^`]+)`")
	where := map[string][]string{} // nil: tests only
	for row := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(row, "|\n "), " | ")
		if len(cells) != 3 || !strings.HasPrefix(row, "| `") {
			continue
		}
		var places []string
		for _, m := range place.FindAllStringSubmatch(cells[2], -1) {
			places = append(places, m[1])
		}
		if (len(places) == 0) != strings.HasPrefix(cells[2], "tests only") && cells[2] != "tests" {
			t.Errorf("decision 6: %s is neither somewhere nor for tests only: %q", cells[0], cells[2])
		}
		for _, m := range module.FindAllStringSubmatch(cells[0], -1) {
			where[m[1]] = places
		}
	}
	_, direct, _ := strings.Cut(read(t, "go.mod"), "require (")
	direct, _, _ = strings.Cut(direct, ")")
	for row := range strings.Lines(direct) {
		name, _, _ := strings.Cut(strings.TrimSpace(row), " ")
		if name != "" && !strings.Contains(row, "// indirect") && where[name] == nil {
			if _, named := where[name]; !named {
				t.Errorf("decision 6 has no row for %s", name)
			}
		}
	}
	users := importers(t, slices.Collect(maps.Keys(where)))
	for name, places := range where {
		if !strings.Contains(read(t, "go.mod"), "\t"+name+" ") {
			t.Errorf("decision 6: go.mod does not require %s", name)
		}
		if got := slices.Sorted(maps.Keys(users[name])); !slices.Equal(got, slices.Sorted(slices.Values(places))) {
			t.Errorf("decision 6: %s is imported by %v, the table says %v", name, got, places)
		}
	}
}

// importers maps each module to the folders under internal, cmd and bench whose code, tests not included, imports a
// package of it.
func importers(t *testing.T, modules []string) map[string]map[string]bool {
	t.Helper()
	slices.SortFunc(modules, func(a, b string) int { return len(b) - len(a) }) // the longest first
	out := map[string]map[string]bool{}
	for _, s := range sources(t) {
		if isTestRoom(s.room) {
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range modules {
				if path == m || strings.HasPrefix(path, m+"/") {
					if out[m] == nil {
						out[m] = map[string]bool{}
					}
					out[m][s.room] = true
					break
				}
			}
		}
	}
	return out
}

// TestDecisionsAreNumberedAndSayWhatChangedThem: a number for each, none left out; and of two of which the later one says
// "Changes [decision N]", the earlier one says "Since [decision M]".
func TestDecisionsAreNumberedAndSayWhatChangedThem(t *testing.T) {
	paths, err := filepath.Glob("docs/decisions/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	changes, since := map[string]bool{}, map[string]bool{}
	link := regexp.MustCompile(`(Changes|Since) ((?:\[decision \d+\]\([^)]*\)(?:, | and )?)+)`)
	number := regexp.MustCompile(`\[decision (\d+)\]\((\d+)-`)
	for i, path := range paths {
		n, text := i+1, read(t, path)
		if !strings.HasPrefix(filepath.Base(path), fmt.Sprintf("%04d-", n)) || !strings.HasPrefix(text, fmt.Sprintf("# %d. ", n)) {
			t.Errorf("%s: its name and its title do not begin with %d", path, n)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			for _, other := range number.FindAllStringSubmatch(m[2], -1) {
				if m[1] == "Changes" {
					changes[fmt.Sprintf("%s by %d", other[1], n)] = true
				} else {
					since[fmt.Sprintf("%d by %s", n, other[1])] = true
				}
			}
		}
	}
	if !maps.Equal(changes, since) || len(since) == 0 {
		t.Errorf("decisions changed: the later ones say %v, the earlier ones %v",
			slices.Sorted(maps.Keys(changes)), slices.Sorted(maps.Keys(since)))
	}
}

func TestTheListOfRFCsNamesEachOnceInOrder(t *testing.T) {
	row, seen, last := regexp.MustCompile(`^\| (\d+) \|`), map[int]bool{}, 0
	for line := range strings.Lines(read(t, "docs/rfcs.md")) {
		m := row.FindStringSubmatch(line)
		if m == nil {
			last = 0
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if seen[n] {
			t.Errorf("docs/rfcs.md: RFC %d is listed twice", n)
		}
		if n < last {
			t.Errorf("docs/rfcs.md: RFC %d stands behind %d", n, last)
		}
		seen[n], last = true, n
	}
}

// TestLinksOfDocumentsLeadSomewhere follows the links between documents, with their anchors, and the bare names of pages
// and tests that documents and comments cite.
func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	pages := documents(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for path, text := range pages {
		for _, m := range link.FindAllStringSubmatch(withoutBlocks(text), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.ToSlash(filepath.Join(filepath.Dir(path), target))
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(pages[file]), anchor) {
				t.Errorf("%s links to %s, and %s has no such heading", path, m[1], file)
			}
		}
	}
}

// withoutBlocks is a page without its code blocks.
func withoutBlocks(page string) string {
	return regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(page, "")
}

// anchors are the names under which a page's headings can be linked to.
func anchors(page string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(withoutBlocks(page), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestPagesThatCodeCitesExist looks for the pages that code names, and for the sections of docs/design.md that it cites as
// "design.md §3".
func TestPagesThatCodeCitesExist(t *testing.T) {
	design, cited := read(t, "docs/design.md"), 0
	page, part := regexp.MustCompile(`\bdocs/[a-z/0-9-]+\.(?:md|json)\b`), regexp.MustCompile(`\b(?i:design)(\.md)? §(\d+)`)
	for _, path := range goFiles(t, ".") {
		text := read(t, path)
		for _, file := range page.FindAllString(text, -1) {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s cites %s: %v", path, file, err)
			}
		}
		for _, m := range part.FindAllStringSubmatch(text, -1) {
			cited++
			if path != "docs_test.go" && (m[1] == "" || !strings.Contains(design, "\n## "+m[2]+". ")) {
				t.Errorf("%s cites %q: write design.md and a section that is there", path, m[0])
			}
		}
	}
	if cited < 20 {
		t.Errorf("only %d citations of docs/design.md were found", cited)
	}
}

// TestMetricsOfDocumentsExist holds the names of metrics in documents against those in the code.
func TestMetricsOfDocumentsExist(t *testing.T) {
	name := regexp.MustCompile(`\bpostern_[a-z_]+[a-z]\b`)
	known := map[string]bool{}
	for _, s := range sources(t) {
		if s.room == "event/metrics" {
			for _, found := range name.FindAllString(read(t, s.path), -1) {
				known[found] = true
			}
		}
	}
	for path, text := range documents(t) {
		for _, found := range name.FindAllString(text, -1) {
			if !known[found] {
				t.Errorf("%s names the metric %s, which does not exist", path, found)
			}
		}
	}
}

// TestTestsThatDocumentsNameExist: a page that says which test proves something must not go on naming one that is gone.
func TestTestsThatDocumentsNameExist(t *testing.T) {
	declared := map[string]bool{}
	for _, path := range goFiles(t, ".") {
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") {
			for _, m := range regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(read(t, path), -1) {
				declared[m[1]] = true
			}
		}
	}
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`").FindAllStringSubmatch(text, -1) {
			if !declared[m[1]] {
				t.Errorf("%s names %s, and there is no such test", path, m[1])
			}
		}
	}
}

// TestNamesOfCodeThatDocumentsCiteExist looks at the files (`ladder.go`) and names (`run.keep`, `Channel.Send`) that the pages
// for developers cite. Decisions are left out: they tell what was.
func TestNamesOfCodeThatDocumentsCiteExist(t *testing.T) {
	files, names := codeNames(t)
	span, file := regexp.MustCompile("`([^`]+)`"), regexp.MustCompile(`^[\w/-]+\.(go|mod|js|txtar)$`)
	name := regexp.MustCompile(`^(?:[A-Za-z]\w*\.)+([A-Za-z]\w*)(?:\(\))?$|^([a-z]*[A-Z]+[a-z]\w*)(?:\(\))?$`)
	cited := 0
	for _, page := range []string{"ARCHITECTURE.md", "docs/flow.md", "docs/queue-internals.md", "docs/console.md", "docs/crash.md"} {
		for _, m := range span.FindAllStringSubmatch(withoutBlocks(read(t, page)), -1) {
			word := strings.Join(strings.Fields(m[1]), " ")
			if file.MatchString(word) {
				cited++
				if !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "/"+word) }) {
					t.Errorf("%s names the file %s, which does not exist", page, word)
				}
				continue
			}
			if parts := name.FindStringSubmatch(word); parts != nil && parts[1] != "toml" {
				cited++
				if !names[parts[1]+parts[2]] {
					t.Errorf("%s names %s, which does not exist", page, word)
				}
			}
		}
	}
	if cited < 200 {
		t.Errorf("only %d files and names were found", cited)
	}
}

// codeNames returns the files of the repository, and every name that its code declares or uses, keys of files and
// columns of tables included.
func codeNames(t *testing.T) (files []string, names map[string]bool) {
	t.Helper()
	names = map[string]bool{}
	tag, column := regexp.MustCompile(`(?:toml|json):"(\w+)`), regexp.MustCompile(`\b[a-z]+(?:_[a-z]+)*\b`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		files = append(files, "/"+filepath.ToSlash(path))
		if err == nil && strings.HasSuffix(path, ".sql") {
			for _, word := range column.FindAllString(read(t, path), -1) {
				names[word] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range goFiles(t, ".") {
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				names[n.Name] = true
			case *ast.BasicLit:
				for _, m := range tag.FindAllStringSubmatch(n.Value, -1) {
					names[m[1]] = true
				}
			}
			return true
		})
	}
	return files, names
}

// TestTheGlossaryHoldsWordsThatAreUsed: each of our words occurs in the code or on another page, and has the field's
// term.
func TestTheGlossaryHoldsWordsThatAreUsed(t *testing.T) {
	var all strings.Builder
	for path, page := range documents(t) {
		if path != "docs/glossary.md" {
			all.WriteString(strings.ToLower(page))
		}
	}
	for _, path := range goFiles(t, "internal", "cmd") {
		all.WriteString(strings.ToLower(read(t, path)))
	}
	found, used := 0, all.String()
	for row := range strings.Lines(read(t, "docs/glossary.md")) {
		cells := strings.Split(strings.Trim(row, "|\n "), " | ")
		if !strings.HasPrefix(row, "| **") {
			continue
		}
		if len(cells) != 3 || cells[1] == "" {
			t.Errorf("the glossary: %q has not three columns", row)
			continue
		}
		for word := range strings.SplitSeq(cells[0], ", ") {
			found++
			if !regexp.MustCompile(`\b` + strings.ToLower(strings.Trim(word, "*"))).MatchString(used) {
				t.Errorf("the glossary explains %s, which nothing uses", word)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d words are in the glossary", found)
	}
}

// TestTheDocumentsAreShort: a README that is read in one sitting, and not more pages than people read.
func TestTheDocumentsAreShort(t *testing.T) {
	const readme, whole = 1500, 28000
	all := 0
	for path, page := range documents(t) {
		words := tree.Words(page)
		if path == "README.md" && words > readme {
			t.Errorf("the README has %d words, more than %d", words, readme)
		}
		if !strings.HasPrefix(path, "bench/") {
			all += words
		}
	}
	if all > whole {
		t.Errorf("the documents have %d words, more than %d: say each fact once", all, whole)
	}
}
