// Postern is a mail gateway that makes TLS between mail servers something an organisation can require, see and prove.
//
// This package is the one binary: the table of verbs, the exit code and the manual page. What the verbs do stands below
// internal: server builds the rooms and joins them, demo is a world around it, operate asks a running gateway, and
// tlscheck, records, confcheck, datafolder and headers work by themselves. See ARCHITECTURE.md for the rooms.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/confcheck"
	"postern/cmd/postern/internal/datafolder"
	"postern/cmd/postern/internal/demo"
	"postern/cmd/postern/internal/headers"
	"postern/cmd/postern/internal/operate"
	"postern/cmd/postern/internal/records"
	"postern/cmd/postern/internal/server"
	"postern/cmd/postern/internal/tlscheck"
)

// commands is the table of verbs. Usage text and man page are made from it.
type commands struct {
	ConfigFile string `name:"config" placeholder:"FILE" help:"The configuration file. Otherwise $$POSTERN_CONFIG, ./postern.toml or /etc/postern/postern.toml."`

	Serve    server.Cmd          `cmd:"" help:"Run the gateway."`
	Reload   operate.ReloadCmd   `cmd:"" help:"Have the running gateway read its configuration and files again, and wait for the answer."`
	Demo     demo.Cmd            `cmd:"" help:"See the gateway at work in a world of its own on the loopback, in under a minute."`
	Queue    operate.QueueCmd    `cmd:"" help:"Look at and change the mail that waits."`
	Trace    operate.TraceCmd    `cmd:"" help:"Find out what happened to mail."`
	Rules    operate.RulesCmd    `cmd:"" help:"Look at, apply and explain the rules."`
	Peers    operate.PeersCmd    `cmd:"" help:"Look at what is remembered of the servers mail is sent to."`
	Policies operate.PoliciesCmd `cmd:"" help:"Look at what recipients' domains publish about TLS (MTA-STS)."`
	Reports  operate.ReportsCmd  `cmd:"" help:"Look at the reports on TLS that are sent to other domains."`
	Nodes    operate.NodesCmd    `cmd:"" help:"See the gateways that share the store."`
	Check    tlscheck.CheckCmd   `cmd:"" help:"Test mail servers' TLS, and see whether mail would be delivered and how well protected."`
	Explain  tlscheck.ExplainCmd `cmd:"" help:"Say what a reason code means, who must act and what to do."`
	Records  records.Cmd         `cmd:"" help:"Print what belongs in DNS for our own domains, or say what is wrong with what is there."`
	Trust    tlscheck.TrustCmd   `cmd:"" help:"Look at what the gateway itself shows to partners."`
	Headers  headers.Cmd         `cmd:"" help:"See which hops of a message were encrypted, from its Received lines."`
	Audit    operate.AuditCmd    `cmd:"" help:"See what administrators changed."`
	Accounts operate.AccountsCmd `cmd:"" help:"See and change who may use the console."`
	Store    datafolder.Cmd      `cmd:"" help:"Mend, count or move what a gateway keeps, while none runs."`
	Config   confcheck.Cmd       `cmd:"" help:"Check, show or explain the configuration."`
	Version  versionCmd          `cmd:"" help:"Print the version of this binary."`
	Man      manCmd              `cmd:"" hidden:"" help:"Print the manual page (roff)."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(&cli.App{Ctx: ctx, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv},
		os.Args[1:])
	stop()
	os.Exit(code)
}

// exit is how the command line parser says that it has already answered (--help).
type exit int

// run does what the command line asks for and returns the exit code. Whatever the verb found, it has not been done if
// its output could not be written.
func run(a *cli.App, args []string) int {
	out := &cli.Output{To: a.Stdout}
	a.Stdout = out
	code := perform(a, args)
	if err := out.Err(); err != nil && code != cli.ExitFail {
		return a.Report(fmt.Errorf("cannot write the output: %w", err))
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
func perform(a *cli.App, args []string) (code int) {
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
		for _, end := range a.Ending {
			end()
		}
	}()
	var table commands
	parser, err := newParser(&table, a)
	if err != nil {
		return a.Report(err)
	}
	if len(args) == 0 {
		return bare(a, parser)
	}
	chosen, err := parser.Parse(spelled(args))
	if err != nil {
		return a.Report(cli.Usage(err, "`postern --help` lists the verbs, `postern VERB --help` its flags"))
	}
	if err := empty(chosen); err != nil {
		return a.Report(err)
	}
	a.ConfigFile = table.ConfigFile
	if err := chosen.Run(a, parser.Model); err != nil {
		return a.Report(err)
	}
	return cli.ExitOK
}

// bare answers a command line without a verb: with the help, where it disturbs no pipe, and as a failure.
func bare(a *cli.App, parser *kong.Kong) int {
	trace, err := kong.Trace(parser, nil)
	if err != nil {
		return a.Report(err)
	}
	parser.Stdout = a.Stderr
	if err := trace.PrintUsage(false); err != nil {
		return a.Report(err)
	}
	return a.Report(cli.Usage(errors.New("no verb is given"),
		"`postern --help` lists the verbs, `postern VERB --help` its flags"))
}

func newParser(table *commands, a *cli.App) (*kong.Kong, error) {
	return kong.New(table,
		kong.Name("postern"),
		kong.Description("A mail gateway that makes TLS between mail servers something you can require, see and "+
			"prove."),
		kong.Writers(a.Stdout, a.Stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
	)
}
