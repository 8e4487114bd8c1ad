package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// source is a parsed file that is not a test.
type source struct {
	path string
	room string // the folder under internal, or one in cmd or in bench
	file *ast.File
	fset *token.FileSet
}

func (s source) at(n ast.Node) string { return s.fset.Position(n.Pos()).String() }

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	for _, path := range goFiles(t, "internal", "cmd", "bench") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "internal/")
		out = append(out, source{path, room, file, fset})
	}
	return out
}

func TestGroundRoomsHaveNoClockAndStartNothing(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
	for _, s := range sources(t) {
		if !isGround(s.room) && s.room != "lab/pki" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s: time.%s in a room without a clock: take the time as an argument", s.at(n), n.Sel.Name)
				}
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine in a ground room", s.at(n))
			}
			return true
		})
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		dir := filepath.Dir(s.path)
		documented[dir] = documented[dir] || s.file.Doc != nil
		for _, decl := range s.file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Name.IsExported() && decl.Doc == nil && onExported(decl) {
					t.Errorf("%s: %s has no doc comment", s.at(decl), decl.Name.Name)
				}
			case *ast.GenDecl:
				checkSpecs(t, s, decl)
			}
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: the package has no comment that teaches its subject", dir)
		}
	}
}

// onExported reports whether a function is a plain one or a method of an exported type.
func onExported(decl *ast.FuncDecl) bool {
	if decl.Recv == nil {
		return true
	}
	receiver := decl.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if index, ok := receiver.(*ast.IndexExpr); ok {
		receiver = index.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && name.IsExported()
}

func checkSpecs(t *testing.T, s source, decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		var names []*ast.Ident
		doc := decl.Doc
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			names = []*ast.Ident{spec.Name}
			if spec.Doc != nil {
				doc = spec.Doc
			}
		case *ast.ValueSpec:
			names = spec.Names
			if spec.Doc != nil || spec.Comment != nil {
				continue
			}
		}
		for _, name := range names {
			if name.IsExported() && doc == nil {
				t.Errorf("%s: %s has no doc comment", s.at(name), name.Name)
			}
		}
	}
}

// constants are the functions whose result a package variable may hold: nobody can change what they return.
var constants = regexp.MustCompile(`^(errors\.New|fmt\.Errorf|regexp\.MustCompile|template\.Must|strings\.NewReplacer` +
	`|netip\.Must\w+|mail\.Must\w+|MustDomain|MustAddress|base(32|64)\.NewEncoding|reflect\.Type(Of|For)|crc32\.MakeTable|big\.NewInt` +
	`|cascadia\.MustCompile|time\.(Date|Unix)|x509\.\w+)\b`)

func TestPackageVariablesNeverChange(t *testing.T) {
	written := writes(t)
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: an init function: what a room needs it is given", s.at(fn))
			}
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				checkVariable(t, s, gen, spec.(*ast.ValueSpec), written)
			}
		}
	}
}

func checkVariable(t *testing.T, s source, gen *ast.GenDecl, spec *ast.ValueSpec, written map[string]string) {
	for i, name := range spec.Names {
		if name.Name == "_" {
			continue
		}
		if place, changed := written[s.room+"."+name.Name]; changed {
			t.Errorf("%s: the package variable %s is changed at %s", s.at(name), name.Name, place)
		}
		var value ast.Expr
		if i < len(spec.Values) {
			value = spec.Values[i]
		}
		embedded := value == nil && (hasEmbed(gen.Doc) || hasEmbed(spec.Doc))
		if !embedded && !isConstant(s, value) {
			t.Errorf("%s: the package variable %s may change: it is no error, table, pattern or embedded file", s.at(name), name.Name)
		}
	}
}

func hasEmbed(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") })
}

// isConstant reports whether nothing but an assignment could change the value, and assignments are looked for apart.
func isConstant(s source, value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.BasicLit, *ast.CompositeLit, *ast.FuncLit, *ast.BinaryExpr:
		return true
	case *ast.CallExpr:
		if lit, ok := v.Fun.(*ast.FuncLit); ok {
			return lit != nil // a table computed once
		}
		start, end := s.fset.Position(v.Pos()).Offset, s.fset.Position(v.End()).Offset
		text, err := os.ReadFile(s.path)
		if err != nil {
			return false
		}
		call := string(text[start:end])
		if selector, ok := v.Fun.(*ast.SelectorExpr); ok {
			if inner, ok := selector.X.(*ast.CallExpr); ok && isConstant(s, inner) {
				return true // base32.NewEncoding(...).WithPadding(...)
			}
		}
		return constants.MatchString(call)
	}
	return false
}

// writes maps "room.variable" to a place where something other than its declaration assigns to it.
func writes(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range sources(t) {
		top := packageLevel(s.file)
		note := func(target ast.Expr) {
			for {
				switch e := target.(type) {
				case *ast.IndexExpr:
					target = e.X
					continue
				case *ast.SelectorExpr:
					target = e.X
					continue
				case *ast.ParenExpr:
					target = e.X
					continue
				case *ast.Ident:
					// The parser resolves names within a file; one it left open is declared in another file.
					if e.Obj == nil || top[e.Obj.Decl] {
						out[s.room+"."+e.Name] = s.at(e)
					}
				}
				return
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, target := range n.Lhs {
						note(target)
					}
				}
			case *ast.IncDecStmt:
				note(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					if name, ok := n.X.(*ast.Ident); ok {
						note(name)
					}
				}
			}
			return true
		})
	}
	return out
}

// packageLevel is the specifications that stand at the top of a file.
func packageLevel(file *ast.File) map[any]bool {
	out := map[any]bool{}
	for _, decl := range file.Decls {
		if gen, ok := decl.(*ast.GenDecl); ok {
			for _, spec := range gen.Specs {
				out[spec] = true
			}
		}
	}
	return out
}

func TestRFCsAreCitedInOneFormAndListed(t *testing.T) {
	list, err := os.ReadFile("docs/rfcs.md")
	if err != nil {
		t.Fatal(err)
	}
	mention := regexp.MustCompile(`\b(RFC[ -]?\d{3,5}|[Rr]fc[ -]\d{3,5})\b([ ,]*\(?(?i:section|sec\.|sect\.|chapter) ?\d)?`)
	good := regexp.MustCompile(`^RFC (\d{3,5})$`)
	for _, path := range goFiles(t, "internal", "cmd", "test") {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			for _, comment := range group.List {
				for _, found := range mention.FindAllString(strings.ReplaceAll(comment.Text, "time.RFC", ""), -1) {
					place := fset.Position(comment.Pos())
					if m := good.FindStringSubmatch(found); m == nil {
						t.Errorf(`%s: %q: write "RFC 5321 §4.5.3.2"`, place, found)
					} else if !strings.Contains(string(list), fmt.Sprintf("| %s |", m[1])) {
						t.Errorf("%s: RFC %s is not listed in docs/rfcs.md", place, m[1])
					}
				}
			}
		}
	}
}

// A file is one idea. One over this many lines says in its first comment why it is long: "This file is long because".
// A package over largePackage lines is several: cut it along its duties.
const (
	longFile     = 500
	largePackage = 3_000
)

func TestPackagesFilesAndFunctionsAreShort(t *testing.T) {
	type size struct {
		lines int
		what  string
	}
	var files, functions []size
	packages := map[string]int{}
	for _, s := range sources(t) {
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(text), "\n")
		files = append(files, size{lines, s.path})
		if !isTestRoom(s.room) {
			packages[filepath.Dir(s.path)] += lines
		}
		if lines > longFile && !strings.Contains(string(text), "This file is long because") {
			t.Errorf("%s has %d lines: several files, or say why in its first comment", s.path, lines)
		}
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				start, end := s.fset.Position(fn.Pos()).Line, s.fset.Position(fn.End()).Line
				functions = append(functions, size{end - start + 1, s.at(fn) + " " + fn.Name.Name})
			}
		}
	}
	for dir, lines := range packages {
		if lines > largePackage {
			t.Errorf("%s has %d lines, more than %d: cut a duty out of it", dir, lines, largePackage)
		}
	}
	for title, list := range map[string][]size{"files": files, "functions": functions} {
		slices.SortFunc(list, func(a, b size) int { return b.lines - a.lines })
		for _, l := range list[:min(5, len(list))] {
			t.Logf("longest %s: %4d lines %s", title, l.lines, l.what)
		}
	}
}

// columns is how wide a line is at most, a tab being four.
const columns = 120

// Prose and code are read beside other windows: they fit their columns. Tables in comments may be wider where they must,
// and so may what cannot be broken: raw strings, such as statements, and the tags of fields.
func TestLinesFitTheirColumns(t *testing.T) {
	prose, code := regexp.MustCompile(`^\t*// [^ ]`), regexp.MustCompile(`^\t*([^\t/]|/[^/])`)
	for _, s := range sources(t) {
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		raw := rawLines(s.fset, s.file)
		for i, line := range strings.Split(string(text), "\n") {
			width := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
			if width > columns && (prose.MatchString(line) || code.MatchString(line) && !raw[i+1]) {
				t.Errorf("%s:%d: a line of %d columns, more than %d", s.path, i+1, width, columns)
			}
		}
	}
}

// rawLines are the lines that raw strings stand in.
func rawLines(fset *token.FileSet, file *ast.File) map[int]bool {
	out := map[int]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(lit.Value, "`") {
			for line := fset.Position(lit.Pos()).Line; line <= fset.Position(lit.End()).Line; line++ {
				out[line] = true
			}
		}
		return true
	})
	return out
}
