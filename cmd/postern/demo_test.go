package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"postern/cmd/postern/internal/cli"
)

func TestTheDemoEndsAsItTells(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a compressed day, about 15 seconds")
	}
	t.Parallel()
	var out, errs bytes.Buffer
	code := run(&cli.App{Ctx: context.Background(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }}, []string{"demo"})
	if code != cli.ExitOK || !strings.Contains(out.String(), "Every recipient ended as the rules say") {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	if strings.Contains(out.String(), "\x1b[") {
		t.Error("escape sequences were written to what is no terminal")
	}
}
