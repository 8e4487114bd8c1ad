// Postern is a mail gateway that makes TLS between mail servers something an organisation can require, see and prove.
//
// This package is the one binary: a table of verbs, one file each, and the composition root (serve.go) that builds the
// rooms under internal and joins them. See ARCHITECTURE.md for the rooms.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes, the same for every verb. They are part of the outside surface and of the man page.
const (
	exitOK    = 0 // done
	exitShort = 1 // what was checked fell short
	exitUsage = 2 // the command line cannot be meant
	exitFail  = 3 // it could not be reached or done

	// exitConfig ends serve where only somebody who changes the configuration, or a file that it names, can help: EX_CONFIG of
	// sysexits(3), which the systemd unit does not answer with another start.
	exitConfig = 78
)

// commands is the table of verbs. Usage text and man page are made from it.
type commands struct {
	ConfigFile string `name:"config" placeholder:"FILE" help:"The configuration file. Otherwise $$POSTERN_CONFIG, ./postern.toml or /etc/postern/postern.toml."`

	Serve    serveCmd    `cmd:"" help:"Run the gateway."`
	Reload   reloadCmd   `cmd:"" help:"Have the running gateway read its configuration and files again, and wait for the answer."`
	Demo     demoCmd     `cmd:"" help:"See the gateway at work in a world of its own on the loopback, in under a minute."`
	Queue    queueCmd    `cmd:"" help:"Look at and change the mail that waits."`
	Trace    traceCmd    `cmd:"" help:"Find out what happened to mail."`
	Rules    rulesCmd    `cmd:"" help:"Look at, apply and explain the rules."`
	Peers    peersCmd    `cmd:"" help:"Look at what is remembered of the servers mail is sent to."`
	Check    checkCmd    `cmd:"" help:"Test mail servers' TLS, and see whether mail would be delivered and how well protected."`
	Explain  explainCmd  `cmd:"" help:"Say what a reason code means, who must act and what to do."`
	Trust    trustCmd    `cmd:"" help:"Look at what the gateway itself shows to partners."`
	Headers  headersCmd  `cmd:"" help:"See which hops of a message were encrypted, from its Received lines."`
	Audit    auditCmd    `cmd:"" help:"See what administrators changed."`
	Accounts accountsCmd `cmd:"" help:"See and change who may use the console."`
	Store    storeCmd    `cmd:"" help:"Mend a data folder that is damaged."`
	Config   configCmd   `cmd:"" help:"Check, show or explain the configuration."`
	Version  versionCmd  `cmd:"" help:"Print the version of this binary."`
	Man      manCmd      `cmd:"" hidden:"" help:"Print the manual page (roff)."`
}

// app is what a verb runs in: the world around the process, so that a verb touches nothing else.
type app struct {
	ctx            context.Context // ends with the first SIGINT or SIGTERM
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	configFile     string   // --config, "" when not given
	ending         []func() // what a verb leaves to be done when everything has been said
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(&app{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}, os.Args[1:])
	stop()
	os.Exit(code)
}

// exit is how the command line parser says that it has already answered (--help).
type exit int

// run does what the command line asks for and returns the exit code. Whatever the verb found, it has not been done if
// its output could not be written.
func run(a *app, args []string) int {
	out := &output{to: a.stdout}
	a.stdout = out
	code := perform(a, args)
	if err := out.err(); err != nil && code != exitFail {
		return a.fail(fmt.Errorf("cannot write the output: %w", err))
	}
	return code
}

// spelled gives what people type for help and version the form the parser knows: "help VERB" and "--version".
func spelled(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	}
	return args
}

// perform parses the command line and runs the verb.
func perform(a *app, args []string) (code int) {
	defer func() {
		if e := recover(); e != nil {
			answered, ok := e.(exit)
			if !ok {
				panic(e)
			}
			code = int(answered)
		}
	}()
	defer func() {
		for _, end := range a.ending {
			end()
		}
	}()
	var table commands
	parser, err := newParser(&table, a)
	if err != nil {
		return a.fail(err)
	}
	if len(args) == 0 {
		return bare(a, parser)
	}
	chosen, err := parser.Parse(spelled(args))
	if err != nil {
		return a.fail(usage(err, "`postern --help` lists the verbs, `postern VERB --help` its flags"))
	}
	a.configFile = table.ConfigFile
	if err := chosen.Run(a, parser.Model); err != nil {
		return a.fail(err)
	}
	return exitOK
}

// bare answers a command line without a verb: with the help, where it disturbs no pipe, and as a failure.
func bare(a *app, parser *kong.Kong) int {
	trace, err := kong.Trace(parser, nil)
	if err != nil {
		return a.fail(err)
	}
	parser.Stdout = a.stderr
	if err := trace.PrintUsage(false); err != nil {
		return a.fail(err)
	}
	return a.fail(usage(errors.New("no verb is given"), "`postern --help` lists the verbs, `postern VERB --help` its flags"))
}

func newParser(table *commands, a *app) (*kong.Kong, error) {
	return kong.New(table,
		kong.Name("postern"),
		kong.Description("A mail gateway that makes TLS between mail servers something you can require, see and prove."),
		kong.Writers(a.stdout, a.stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
	)
}
