// Package tree reads a checkout of this repository, without building it: its packages, who imports whom, and its
// documents. It works on older checkouts too, whose folders had other names.
package tree

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the module, which begins every import of ours.
const Module = "postern/"

// File is one Go file that is not a test.
type File struct {
	Path  string // below the root, with slashes
	Lines int
	AST   *ast.File
}

// Package is the code of one folder, tests not included.
type Package struct {
	Dir   string // below the root, with slashes
	Files []File
}

// Room is the name of a package in the lattice: its folder below internal, or its folder.
func (p Package) Room() string { return strings.TrimPrefix(p.Dir, "internal/") }

// Imports are the packages that a package imports, sorted.
func (p Package) Imports() []string {
	set := map[string]bool{}
	for _, f := range p.Files {
		for _, spec := range f.AST.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil {
				set[path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Synopsis is the first sentence of the package comment without the words "Package x".
func (p Package) Synopsis() string {
	for _, f := range p.Files {
		if f.AST.Doc != nil {
			text := new(doc.Package).Synopsis(f.AST.Doc.Text())
			return strings.TrimPrefix(text, "Package "+f.AST.Name.Name+" ")
		}
	}
	return ""
}

// Tree is a checkout.
type Tree struct {
	Root     string
	Fset     *token.FileSet
	Packages []Package // below internal, cmd and bench, sorted by folder
}

// Read parses the code of the checkout at root. Test data and hidden folders are left out.
func Read(root string) (*Tree, error) {
	t := &Tree{Root: root, Fset: token.NewFileSet()}
	found := map[string]*Package{}
	for _, top := range []string{"internal", "cmd", "bench"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			return t.add(found, path)
		})
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no code of Postern", root)
	}
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		t.Packages = append(t.Packages, *found[dir])
	}
	return t, nil
}

func (t *Tree) add(found map[string]*Package, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(t.Fset, path, text, parser.ParseComments)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(t.Root, path)
	if err != nil {
		return err
	}
	name = filepath.ToSlash(name)
	dir := name[:strings.LastIndex(name, "/")]
	if found[dir] == nil {
		found[dir] = &Package{Dir: dir}
	}
	found[dir].Files = append(found[dir].Files, File{Path: name, Lines: strings.Count(string(text), "\n"), AST: parsed})
	return nil
}

// OnlyForTests reports whether a folder is code for tests and for the demo: it is no part of the product.
func OnlyForTests(dir string) bool {
	return slices.ContainsFunc(strings.Split(dir, "/"), func(part string) bool {
		return part == "testkit" || part == "storetest" || part == "lab"
	})
}

// Product is the packages that the binary is made of: internal and cmd without what is only for tests.
func (t *Tree) Product() (out []Package) {
	for _, p := range t.Packages {
		if !strings.HasPrefix(p.Dir, "bench") && !OnlyForTests(p.Dir) {
			out = append(out, p)
		}
	}
	return out
}

// Rooms are the packages below internal by their name in the lattice.
func (t *Tree) Rooms() map[string]Package {
	out := map[string]Package{}
	for _, p := range t.Packages {
		if strings.HasPrefix(p.Dir, "internal/") {
			out[p.Room()] = p
		}
	}
	return out
}

// Ours are the rooms among what a package imports.
func (p Package) Ours() (rooms []string) {
	for _, path := range p.Imports() {
		if room, ours := strings.CutPrefix(path, Module+"internal/"); ours {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// Lattice reads the table of permitted imports out of deps_test.go, which is the map that its function lattice returns,
// and the list of ground rooms, which is the one that isGround returns. They are read and not imported because tests
// hold them.
func (t *Tree) Lattice() (allowed map[string][]string, ground []string, err error) {
	path := filepath.Join(t.Root, "deps_test.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, nil, err
	}
	allowed = map[string][]string{}
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			switch {
			case fn.Name.Name == "lattice":
				if pair, ok := n.(*ast.KeyValueExpr); ok {
					allowed[text(pair.Key)] = strings.Fields(text(pair.Value))
				}
			case fn.Name.Name == "isGround":
				if lit, ok := n.(*ast.BasicLit); ok {
					ground = append(ground, text(lit))
				}
			}
			return true
		})
	}
	if len(allowed) == 0 {
		return nil, nil, fmt.Errorf("%s: there is no lattice", path)
	}
	return allowed, ground, nil
}

func text(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok {
		if s, err := strconv.Unquote(lit.Value); err == nil {
			return s
		}
	}
	return ""
}

// Documents are the pages for people by path below the root: the three at the root and everything below docs.
func (t *Tree) Documents() (map[string]string, error) {
	out := map[string]string{}
	add := func(path string) error {
		page, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(t.Root, path)
		out[filepath.ToSlash(name)] = string(page)
		return err
	}
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "CHANGELOG.md"} {
		if err := add(filepath.Join(t.Root, name)); err != nil {
			return nil, err
		}
	}
	return out, filepath.WalkDir(filepath.Join(t.Root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".md") {
			return err
		}
		return add(path)
	})
}
