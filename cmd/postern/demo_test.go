package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestTheDemoEndsAsItTells(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a compressed day, about 15 seconds")
	}
	t.Parallel()
	var out, errs bytes.Buffer
	code := run(&app{ctx: context.Background(), stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }}, []string{"demo"})
	if code != exitOK || !strings.Contains(out.String(), "Every recipient ended as the rules say") {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	if strings.Contains(out.String(), "\x1b[") {
		t.Error("escape sequences were written to what is no terminal")
	}
}

// Where the loopback has one address, as on macOS and FreeBSD, the partners stand at ports of it.
func TestTheDemoNeedsNoMoreThanOneAddress(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a compressed day, about 15 seconds")
	}
	t.Parallel()
	var out, errs bytes.Buffer
	err := (&demoCmd{oneAddress: true}).Run(&app{ctx: context.Background(), stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }})
	if err != nil || !strings.Contains(out.String(), "Every recipient ended as the rules say") {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
}
