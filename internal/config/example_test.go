package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"postern/internal/platform/passhash"
)

var update = flag.Bool("update", false, "write example.toml anew")

const exampleHead = `# A configuration of Postern with every key it knows. This file is generated; keys are commented out, so as it stands
# it means the same as an empty file. A value shown is the key's default, except where the line ends with "example".
#
# Unknown keys are errors. Times are "90s", "30m", "24h" or a number of seconds. Relative file names are relative to the
# folder of this file. ` + "`postern config check`" + ` reads the file and the certificates it names.
`

func TestTheExampleIsMadeFromTheStructAndItsDefaults(t *testing.T) {
	made := makeExample(t)
	if *update {
		if err := os.WriteFile("example.toml", []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if made != Example() {
		t.Fatal("example.toml is not what config.go says; run: go test ./internal/config -run Example -update")
	}
}

func TestTheExampleMeansTheSameAsAnEmptyFile(t *testing.T) {
	fromExample, err := Parse("example.toml", "/etc/postern", "gw.test", []byte(Example()))
	if err != nil {
		t.Fatal(err)
	}
	fromNothing, err := Parse("empty.toml", "/etc/postern", "gw.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fromExample.TOML(), fromNothing.TOML(); got != want {
		t.Errorf("example:\n%s\nempty:\n%s", got, want)
	}
}

func TestEveryKeyOfTheExampleIsAccepted(t *testing.T) {
	var lines []string
	for line := range strings.Lines(Example()) {
		line = strings.TrimPrefix(line, "#")
		if !strings.HasPrefix(line, " ") {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "")
	text = strings.ReplaceAll(text, "sha256:...", "sha256:"+strings.Repeat("ab", 32))
	text = strings.ReplaceAll(text, "$argon2id$...", passhash.New("x", make([]byte, passhash.SaltLength)))
	if _, err := Parse("example.toml", "/etc/postern", "gw.test", []byte(text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// makeExample writes the example from the comments of the files that hold sections and the values of Default.
func makeExample(t *testing.T) string {
	m := &exampleMaker{types: map[string]typeDoc{}}
	for _, name := range []string{"config.go", "published.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.TYPE {
				spec := gen.Specs[0].(*ast.TypeSpec)
				m.types[spec.Name.Name] = typeDoc{gen.Doc.Text(), spec.Type.(*ast.StructType)}
			}
		}
	}
	m.out.WriteString(exampleHead)
	m.table(t, reflect.ValueOf(*Default()), "")
	return m.out.String()
}

type typeDoc struct {
	doc string
	ast *ast.StructType
}

type exampleMaker struct {
	types map[string]typeDoc
	out   strings.Builder
}

func (m *exampleMaker) table(t *testing.T, v reflect.Value, path string) {
	docs := map[string]string{}
	for _, f := range m.types[v.Type().Name()].ast.Fields.List {
		docs[f.Names[0].Name] = f.Doc.Text()
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("toml") == "" || isSection(f.Type) {
			continue
		}
		if docs[f.Name] == "" {
			t.Errorf("the key %s.%s has no comment where its section is declared", path, f.Tag.Get("toml"))
		}
		m.comment(docs[f.Name])
		value, note := literal(v.Field(i)), ""
		if e := f.Tag.Get("example"); e != "" {
			value, note = strings.ReplaceAll(e, "'", `"`), "   # example"
		}
		fmt.Fprintf(&m.out, "#%s = %s%s\n", f.Tag.Get("toml"), value, note)
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("toml") == "" || !isSection(f.Type) {
			continue
		}
		full := strings.TrimPrefix(path+"."+f.Tag.Get("toml"), ".")
		if f.Type.Kind() == reflect.Slice {
			m.section("#[["+full+"]]", f.Type.Elem().Name())
			m.table(t, reflect.Zero(f.Type.Elem()), full)
			continue
		}
		m.section("["+full+"]", f.Type.Name())
		m.table(t, v.Field(i), full)
	}
}

func (m *exampleMaker) section(header, typeName string) {
	fmt.Fprintf(&m.out, "\n\n")
	for line := range strings.Lines(m.types[typeName].doc) {
		m.out.WriteString("# " + line)
	}
	m.out.WriteString(header + "\n")
}

func (m *exampleMaker) comment(doc string) {
	m.out.WriteString("\n")
	for line := range strings.Lines(doc) {
		m.out.WriteString("# " + line)
	}
}
