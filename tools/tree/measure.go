package tree

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Row is one measure: its name and its figures.
type Row struct {
	What    string
	Figures []int
}

// String is the figures as a table shows them.
func (r Row) String() string {
	var parts []string
	for _, n := range r.Figures {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, " / ")
}

// Measure counts a checkout. Product code is internal and cmd without tests and without folders that are only for
// tests.
func (t *Tree) Measure() ([]Row, error) {
	var packages, files, functions []int
	exported, arrows, back := 0, 0, 0
	using := t.uses()
	for _, p := range t.Product() {
		size := 0
		for _, f := range p.Files {
			size += f.Lines
			files = append(files, f.Lines)
			for _, decl := range f.AST.Decls {
				exported += names(decl)
				if fn, ok := decl.(*ast.FuncDecl); ok {
					functions = append(functions, t.Fset.Position(fn.End()).Line-t.Fset.Position(fn.Pos()).Line+1)
				}
			}
		}
		packages = append(packages, size)
		a, b := count(using(p))
		arrows, back = arrows+a, back+b
	}
	rows := []Row{
		{"lines of product code", []int{sum(packages)}},
		{"packages", []int{len(packages)}},
		{"lines of a package: p50 / p90 / max", quantiles(packages)},
		{"files", []int{len(files)}},
		{"lines of a file: p50 / p90 / max", quantiles(files)},
		{"functions", []int{len(functions)}},
		{"lines of a function: p50 / p90 / max", quantiles(functions)},
		{"exported names", []int{exported}},
		{"arrows between files of a folder / back", []int{arrows, back}},
	}
	for _, more := range []func() (Row, error){t.lattice, t.words} {
		row, err := more()
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func sum(list []int) (n int) {
	for _, x := range list {
		n += x
	}
	return n
}

func quantiles(list []int) []int {
	if len(list) == 0 {
		return []int{0, 0, 0}
	}
	slices.Sort(list)
	return []int{list[len(list)/2], list[len(list)*9/10], list[len(list)-1]}
}

// names counts the exported names of a declaration: types, functions, methods of exported types, constants and
// variables.
func names(decl ast.Decl) (n int) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Name.IsExported() && (decl.Recv == nil || ast.IsExported(receiver(decl.Recv.List[0].Type))) {
			n++
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					n++
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() {
						n++
					}
				}
			}
		}
	}
	return n
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// lattice counts the arrows that deps_test.go permits and those that imports use.
func (t *Tree) lattice() (Row, error) {
	allowed, _, err := t.Lattice()
	if err != nil {
		return Row{}, err
	}
	rooms, permitted, used := t.Rooms(), 0, 0
	for room, others := range allowed {
		permitted += len(others)
		used += len(rooms[room].Ours())
	}
	return Row{"arrows of the lattice: permitted / used", []int{permitted, used}}, nil
}

// words counts the words of the documents.
func (t *Tree) words() (Row, error) {
	pages, err := t.Documents()
	n := 0
	for _, page := range pages {
		n += Words(page)
	}
	return Row{"words of README, ARCHITECTURE, CHANGELOG and docs", []int{n}}, err
}

// Words counts the words of a page: what stands between blanks and has a letter or a digit. The strokes of tables are
// none.
func Words(page string) (n int) {
	for word := range strings.FieldsSeq(page) {
		if strings.ContainsFunc(word, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			n++
		}
	}
	return n
}

// An arrow leads from a file to another of its folder whose names it mentions: functions, types, methods, fields,
// constants and variables. Two files that mention each other have one arrow that runs back, because no order of them
// has both pointing one way.
func count(arrows map[[2]string]bool) (all, back int) {
	for pair := range arrows {
		if arrows[[2]string{pair[1], pair[0]}] && pair[0] < pair[1] {
			back++
		}
	}
	return len(arrows), back
}

// uses returns what finds the arrows of a package. Packages are checked with the types of ours that they import; those
// of others are unknown, so a method called on what another's function returned is not seen.
func (t *Tree) uses() func(Package) map[[2]string]bool {
	c := &checker{tree: t, dirs: map[string]Package{}, done: map[string]*types.Package{},
		uses: map[string]map[*ast.Ident]types.Object{}}
	for _, p := range t.Packages {
		c.dirs[Module+p.Dir] = p
	}
	return func(p Package) map[[2]string]bool {
		arrows := map[[2]string]bool{}
		checked, err := c.Import(Module + p.Dir)
		if err != nil {
			return arrows
		}
		for id, object := range c.uses[Module+p.Dir] {
			if object.Pkg() != checked || !object.Pos().IsValid() {
				continue
			}
			from, to := t.Fset.Position(id.Pos()).Filename, t.Fset.Position(object.Pos()).Filename
			if from != to {
				arrows[[2]string{from, to}] = true
			}
		}
		return arrows
	}
}

// checker is a types.Importer that knows the packages of the tree.
type checker struct {
	tree *Tree
	dirs map[string]Package
	done map[string]*types.Package
	uses map[string]map[*ast.Ident]types.Object
}

// Import checks a package of ours as far as it goes without those of others.
func (c *checker) Import(path string) (*types.Package, error) {
	if done, ok := c.done[path]; ok {
		return done, nil
	}
	p, ours := c.dirs[path]
	if !ours {
		return nil, fmt.Errorf("%s is not ours", path)
	}
	var files []*ast.File
	for _, f := range p.Files {
		files = append(files, f.AST)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: c, Error: func(error) {}, FakeImportC: true}
	checked, err := config.Check(path, c.tree.Fset, files, info)
	if checked == nil {
		return nil, err
	}
	c.done[path], c.uses[path] = checked, info.Uses
	return checked, nil
}
