// Command docs makes anew the parts of the documents that the code knows better: what stands between the comments
// `<!-- made by make docs: NAME -->` and `<!-- end of NAME -->`. A test fails where a part is not what it would make.
package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"postern/tools/tree"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// write makes every part of every document anew.
func write(root string) error {
	t, err := tree.Read(root)
	if err != nil {
		return err
	}
	pages, err := t.Documents()
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(pages)) {
		page, err := renew(t, pages[path])
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if page == pages[path] {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(page), 0o644); err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

// maker makes a part. What stands there now is given to it, for parts of which people write some columns.
type maker func(t *tree.Tree, old string) (string, error)

// makers are the parts by name.
func makers() map[string]maker {
	return map[string]maker{
		"commands":     commands,
		"dependencies": dependencies,
		"exit codes":   exitCodes,
		"figures":      figures,
		"metrics":      metricsTable,
		"reasons":      reasons,
		"rooms":        roomsTable,
	}
}

var part = regexp.MustCompile(`(?s)<!-- made by make docs: ([a-z ]+) -->\n(.*?)<!-- end of ([a-z ]+) -->`)

// parts returns what stands in a page by name.
func parts(page string) (map[string]string, error) {
	out := map[string]string{}
	for _, m := range part.FindAllStringSubmatch(page, -1) {
		if m[1] != m[3] {
			return nil, fmt.Errorf("the part %q ends as %q", m[1], m[3])
		}
		out[m[1]] = strings.Trim(m[2], "\n") + "\n"
	}
	if strings.Count(page, "<!-- made by make docs: ") != len(out) {
		return nil, errors.New("a part has no end, or is there twice")
	}
	return out, nil
}

// renew returns a page with its parts made anew.
func renew(t *tree.Tree, page string) (string, error) {
	olds, err := parts(page)
	if err != nil {
		return "", err
	}
	for name, old := range olds {
		make, ok := makers()[name]
		if !ok {
			return "", fmt.Errorf("nothing makes the part %q", name)
		}
		text, err := make(t, old)
		if err != nil {
			return "", fmt.Errorf("the part %q: %w", name, err)
		}
		page = part.ReplaceAllStringFunc(page, func(found string) string {
			if m := part.FindStringSubmatch(found); m[1] != name {
				return found
			}
			return fmt.Sprintf("<!-- made by make docs: %s -->\n\n%s\n<!-- end of %s -->", name, text, name)
		})
	}
	return page, nil
}

// table writes rows as Markdown.
func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString("|" + strings.Repeat("---|", len(head)) + "\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}
