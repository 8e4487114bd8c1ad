package tree

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// small is a checkout of three rooms. In alpha, a.go and b.go use each other, c.go uses a method of b.go.
var small = map[string]string{
	"internal/alpha/a.go":         "// Package alpha is first: it has three files.\npackage alpha\n\nfunc A() { b() }\n",
	"internal/alpha/b.go":         "package alpha\n\ntype T struct{ Field int }\n\nfunc (T) M() {}\n\nfunc b() { A() }\n",
	"internal/alpha/c.go":         "package alpha\n\nimport \"example.org/unknown\"\n\nvar _ = unknown.X\n\nfunc c(t T) { t.M() }\n",
	"internal/alpha/a_test.go":    "package alpha\n\nfunc TestHidden() {}\n",
	"internal/beta/beta.go":       "package beta\n\nimport \"postern/internal/alpha\"\n\nfunc F() { alpha.A() }\n",
	"internal/lab/testkit/kit.go": "package testkit\n\nfunc Kit() {}\n",
	"deps_test.go": "package house\n\nfunc lattice() map[string]string {\n\treturn map[string]string{\"alpha\": \"\", \"beta\": \"alpha gamma\"}\n}\n\n" +
		"func isGround(r string) bool { return r == \"alpha\" }\n",
	"README.md": "four words | in -- it\n",
	"docs/A.md": "two more\n",
}

func checkout(t *testing.T) *Tree {
	t.Helper()
	root := t.TempDir()
	for name, text := range small {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestMeasure(t *testing.T) {
	rows, err := checkout(t).Measure()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range rows {
		got[r.What] = r.String()
	}
	for what, want := range map[string]string{
		"lines of product code": "23",
		"packages":              "2",
		"files":                 "4",
		"functions":             "5",
		"exported names":        "4",
		"arrows between files of a folder / back":           "3 / 1",
		"arrows of the lattice: permitted / used":           "2 / 1",
		"words of README, ARCHITECTURE, CHANGELOG and docs": "6",
	} {
		if got[what] != want {
			t.Errorf("%s: %s, want %s", what, got[what], want)
		}
	}
}

func TestTheTreeIsRead(t *testing.T) {
	tree := checkout(t)
	rooms := tree.Rooms()
	if s := rooms["alpha"].Synopsis(); s != "is first: it has three files." {
		t.Errorf("synopsis %q", s)
	}
	if imports := rooms["beta"].Ours(); !slices.Equal(imports, []string{"alpha"}) {
		t.Errorf("beta imports %v", imports)
	}
	if _, ground, err := tree.Lattice(); err != nil || !slices.Equal(ground, []string{"alpha"}) {
		t.Errorf("ground %v %v", ground, err)
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("an empty folder is a checkout")
	}
}
