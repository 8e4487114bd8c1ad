package demo

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"postern/cmd/postern/internal/cli"
)

// Where the loopback has one address, as on macOS and FreeBSD, the partners stand at ports of it.
func TestTheDemoNeedsNoMoreThanOneAddress(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a compressed day, about 15 seconds")
	}
	t.Parallel()
	var out, errs bytes.Buffer
	err := (&Cmd{oneAddress: true}).Run(&cli.App{Ctx: context.Background(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }})
	if err != nil || !strings.Contains(out.String(), "Every recipient ended as the rules say") {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
}
