// Systems checks the types of the command as other systems than this one build it, from the sources of all its packages.
//
//	go run ./tools/systems darwin/arm64 freebsd/amd64 windows/amd64
//
// It finds what is missing or different there in seconds. Building for them (make systems) takes a minute each, where
// nothing was built before, and besides links the program.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	faulty := false
	for _, system := range os.Args[1:] {
		faults, err := check(system)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		fmt.Printf("types for %s: %d faults\n", system, len(faults))
		for _, fault := range faults {
			fmt.Fprintln(os.Stderr, fault)
		}
		faulty = faulty || len(faults) > 0
	}
	if faulty {
		os.Exit(1)
	}
}

// check returns what is wrong with the command where it is built for a system, written as GOOS/GOARCH.
func check(system string) (faults []string, err error) {
	goos, goarch, _ := strings.Cut(system, "/")
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedCompiledGoFiles |
			packages.NeedTypes | packages.NeedSyntax | packages.NeedModule,
		Env:       append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
		ParseFile: parse,
	}, "./cmd/postern")
	if err != nil {
		return nil, err
	}
	packages.Visit(loaded, nil, func(p *packages.Package) {
		for i := range p.Errors {
			faults = append(faults, p.Errors[i].Error())
		}
	})
	return faults, nil
}

// parse reads a file.
func parse(files *token.FileSet, name string, text []byte) (*ast.File, error) {
	return parser.ParseFile(files, name, text, parser.SkipObjectResolution)
}
