package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"postern/cmd/postern/internal/cli"
)

// headersOf runs the verb on text and returns its output and exit code.
func headersOf(t *testing.T, text string, args ...string) (string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &cli.App{Ctx: context.Background(), Stdin: strings.NewReader(text), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	code := run(a, append([]string{"headers"}, args...))
	return out.String(), code
}

func TestTheVerdictFitsThreeLinesOfEightyColumnsForAnyNumberOfHops(t *testing.T) {
	name := strings.Repeat("a-long-label.", 15) + "example.org"
	var b strings.Builder
	for n := 1; n <= 300; n++ {
		with := []string{"ESMTPS", "ESMTP", "SMTP", "LMTP"}[n%4]
		b.WriteString("Received: from " + name + " (" + name + " [192.0.2.7]) by " + name + " with " + with + " id 1; Tue, 1 Dec 2026 10:00:00 +0000\n")
		if n > 30 && n%30 != 0 {
			continue
		}
		for _, args := range [][]string{nil, {"--trust", "*"}} {
			page, code := headersOf(t, b.String(), args...)
			if code != cli.ExitOK {
				t.Fatalf("exit code %d", code)
			}
			lines := strings.Split(page, "\n")
			if lines[3] != "" || !strings.HasPrefix(lines[4], "HOP ") {
				t.Fatalf("no three lines and a table:\n%s", strings.Join(lines[:6], "\n"))
			}
			table := lines[:5+n]
			for _, line := range table {
				if width := utf8.RuneCountInString(line); width > 80 {
					t.Errorf("%d hops: %d columns: %s", n, width, line)
				}
			}
		}
	}
}
