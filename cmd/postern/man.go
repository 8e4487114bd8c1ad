package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"postern/cmd/postern/internal/cli"
)

// manCmd prints the manual page, made from the same table as the usage text. packaging/postern.1 is its output, and a
// test compares the two.
type manCmd struct{}

// Run prints the page.
func (*manCmd) Run(a *cli.App, model *kong.Application) error { return writeMan(a.Stdout, model) }

// writeMan writes man(7) source.
func writeMan(w io.Writer, model *kong.Application) error {
	var b strings.Builder
	b.WriteString(".\\\" Made by `postern man` from the table of verbs. Do not edit.\n.TH POSTERN 1\n")
	b.WriteString(".SH NAME\npostern \\- mail gateway that requires, shows and proves TLS between mail servers\n")
	b.WriteString(".SH SYNOPSIS\n.B postern\n.I verb\n.RI [ flags ]\n")
	b.WriteString(".SH DESCRIPTION\n" + roff(manDescription) + "\n")
	b.WriteString(".SH VERBS\n")
	for _, leaf := range model.Leaves(true) {
		manVerb(&b, leaf)
	}
	b.WriteString(".SH COMMON FLAGS\n")
	manFlags(&b, model.Node.Flags)
	b.WriteString(".SH EXIT STATUS\n")
	for _, e := range exitMeanings() {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", e.code, roff(e.meaning))
	}
	b.WriteString(".SH ENVIRONMENT\n.TP\n.B POSTERN_CONFIG\n" + roff("The configuration file, where --config is "+
		"not given.") + "\n")
	b.WriteString(".SH FILES\n")
	for _, f := range [][2]string{
		{"./postern.toml, /etc/postern/postern.toml", "The configuration, where neither --config nor " +
			"POSTERN_CONFIG names one."},
		{"/var/lib/postern", "The queue, the trace, the applied rules and the control socket, unless the key data " +
			"says otherwise."},
	} {
		fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(f[0]), roff(f[1]))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const manDescription = "Postern stands between an organisation's own mail servers and the rest of the world, in " +
	"both directions. Everything goes out with the best encryption the other side can do; what a rule says must be " +
	"protected goes out over authenticated TLS or not at all; and for every recipient there is a record of what " +
	"happened and why. `postern config example` prints every configuration key with its meaning and default."

// exitMeanings is the exit codes for the manual page and for tests.
func exitMeanings() []struct {
	code    int
	meaning string
} {
	return []struct {
		code    int
		meaning string
	}{
		{cli.ExitOK, "Done."},
		{cli.ExitShort, "What was checked fell short, or what was named is not there."},
		{cli.ExitUsage, "The command line cannot be meant."},
		{cli.ExitFail, "It could not be reached or done, or what it found could not be written out."},
		{cli.ExitConfig, "Of serve alone: the configuration, or a file that it names, cannot be used."},
	}
}

func manVerb(b *strings.Builder, n *kong.Node) {
	fmt.Fprintf(b, ".SS \"postern %s\"\n", roff(n.Path()))
	fmt.Fprintf(b, "%s\n", roff(n.Help))
	if n.Detail != "" {
		fmt.Fprintf(b, ".PP\n%s\n", roff(n.Detail))
	}
	for _, p := range n.Positional {
		fmt.Fprintf(b, ".TP\n.I %s\n%s\n", roff(p.Summary()), roff(p.Help))
	}
	manFlags(b, n.Flags)
}

func manFlags(b *strings.Builder, flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(f.String())), roff(f.Help))
	}
}

// roff escapes text for man(7): backslashes, hyphens that must stay hyphens, and dots and quotes that begin a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
