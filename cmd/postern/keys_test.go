package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"postern/internal/config"
)

// A key that is accepted and ignored is a lie, and in this program a dangerous one.
func TestEveryConfigurationKeyIsReadBySomeVerb(t *testing.T) {
	read := map[string]bool{}
	for _, path := range goSources(t, ".") {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				read[s.Sel.Name] = true
			}
			return true
		})
	}
	// What the configuration itself answers for: Data through Socket too, users through Authenticate, policies through
	// Policy, Store and Agree by refusing.
	for _, key := range []string{"User", "Name", "PasswordHash", "Store", "MaxAge", "Agree"} {
		read[key] = true
	}
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key := f.Tag.Get("toml")
			if key == "" {
				continue
			}
			if !read[f.Name] {
				t.Errorf("nothing reads %s%s", path, key)
			}
			inner := f.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && strings.HasSuffix(inner.PkgPath(), "internal/config") {
				walk(inner, path+key+".")
			}
		}
	}
	walk(reflect.TypeFor[config.Config](), "")
}
