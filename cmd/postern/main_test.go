package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"postern/cmd/postern/internal/cli"
)

// Times on a terminal are local; what tests expect is in UTC. It is set before anything runs that could read it.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	testscript.Main(m, map[string]func(){"postern": main, "capped-postern": cappedMain})
}

// Each script under testdata is a session at a shell; see its first lines for what must hold.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			return writeTestCertificates(filepath.Join(env.WorkDir, "certs"))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
		},
	})
}

// exits CODE VERB...: the verb ends with this exit code. Its output is compared with stdout and stderr as after exec.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE postern VERB...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

func TestTheManPageNamesEveryVerbAndFlag(t *testing.T) {
	var out bytes.Buffer
	a := &cli.App{Ctx: context.Background(), Stdout: &out, Stderr: os.Stderr, Getenv: os.Getenv}
	if code := run(a, []string{"man"}); code != cli.ExitOK {
		t.Fatalf("postern man: exit code %d", code)
	}
	page := out.String()
	parser, err := newParser(new(commands), a)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(true) {
		if !strings.Contains(page, "postern "+roff(leaf.Path())) {
			t.Errorf("no verb %q", leaf.Path())
		}
		for _, group := range leaf.AllFlags(true) {
			for _, f := range group {
				if f.Name != "help" && !strings.Contains(page, roff("--"+f.Name)) {
					t.Errorf("%s: no flag --%s", leaf.Path(), f.Name)
				}
			}
		}
	}
}

func TestEveryVerbAndFlagHasAHelpText(t *testing.T) {
	var table commands
	parser, err := newParser(&table, &cli.App{Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model.Node, func(n kong.Visitable, next kong.Next) error {
		switch n := n.(type) {
		case *kong.Node:
			if n.Type == kong.CommandNode && !strings.HasSuffix(n.Help, ".") {
				t.Errorf("verb %q: help %q is no sentence", n.Path(), n.Help)
			}
		case *kong.Flag:
			if n.Name != "help" && !strings.HasSuffix(n.Help, ".") {
				t.Errorf("flag --%s: help %q is no sentence", n.Name, n.Help)
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}
