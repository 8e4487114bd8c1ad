package tlscheck

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/internal/check"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// CheckCmd tests mail servers' TLS with the code that delivers.
type CheckCmd struct {
	Targets []string `arg:"" optional:"" name:"target" help:"A domain (all its mail hosts), or a host as host:port, an address, address:port."`

	File     string        `placeholder:"FILE" help:"Check what this file lists too, one target a line; - reads standard input."`
	JSON     bool          `help:"Print newline-delimited JSON objects."`
	Brief    bool          `help:"One line for each target."`
	Letter   bool          `help:"Write a message to the administrators of each target that falls short, instead of the report."`
	Require  string        `aliases:"requires" placeholder:"LEVEL" help:"Exit code 1 when mail to a target would not reach plaintext, encrypted or authenticated."`
	AsRule   string        `placeholder:"NAME" help:"Judge with the requirement of this rule; exit code 1 when a target falls short of it."`
	Rules    string        `placeholder:"FILE" help:"Take the rule of --as-rule, and the exceptions, from this file instead of asking the running gateway."`
	Socket   string        `placeholder:"PATH" help:"The gateway's admin socket. Otherwise the one of the configuration."`
	Versions bool          `help:"Try each TLS version, post-quantum and classical groups, and RSA and ECDSA certificates by themselves."`
	Jobs     int           `default:"8" help:"How many targets are checked at a time."`
	Timeout  time.Duration `default:"60s" help:"How long one attempt at a server may take."`
	Watch    time.Duration `placeholder:"INTERVAL" help:"Check again and again, and tell what changes."`
}

// valid reads the command line.
func (c *CheckCmd) valid() (targets []check.Target, err error) {
	if len(c.Targets) == 0 && c.File == "" {
		return nil, cli.Usage(errors.New("nothing to check"),
			"name a domain: `postern check example.com`, or a list: `postern check --file FILE`")
	}
	for _, text := range c.Targets {
		t, err := check.Parse(text)
		if err != nil {
			return nil, cli.Usage(err, "write example.com, mx.example.com:25 or 192.0.2.1:25")
		}
		targets = append(targets, t)
	}
	if c.Require != "" {
		if _, err := policy.ParseLevel(c.Require); err != nil {
			return nil, cli.Usage(err, "")
		}
	}
	if c.Jobs < 1 || c.Timeout <= 0 || c.Watch < 0 {
		return nil, cli.Usage(errors.New("--jobs, --timeout and --watch must be more than nothing"), "")
	}
	if c.JSON && (c.Letter || c.Brief) || c.Letter && c.Brief {
		return nil, cli.Usage(errors.New("--json, --letter and --brief do not go together"), "choose one")
	}
	if c.Letter && c.Watch > 0 {
		return nil, cli.Usage(errors.New("--letter and --watch do not go together"),
			"write the letter when a change was told")
	}
	if c.Rules != "" && c.AsRule == "" {
		return nil, cli.Usage(errors.New("--rules needs --as-rule"), "name one of its rules: --as-rule NAME")
	}
	return targets, nil
}

// open opens the list of targets; an empty one if none was named.
func (c *CheckCmd) open(a *cli.App) (io.ReadCloser, error) {
	switch c.File {
	case "":
		return io.NopCloser(strings.NewReader("")), nil
	case "-":
		return io.NopCloser(a.Stdin), nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, fmt.Errorf("cannot read the list: %w", err)
	}
	return f, nil
}

// targetList is the targets of the command line and of the file, which is read as it is needed.
type targetList struct {
	a     *cli.App
	first []check.Target
	file  string
	lines io.Reader
	bad   int // lines that cannot be meant
}

func (l *targetList) all() iter.Seq[check.Target] {
	return func(yield func(check.Target) bool) {
		for _, t := range l.first {
			if !yield(t) {
				return
			}
		}
		in := bufio.NewScanner(l.lines)
		for n := 1; in.Scan(); n++ {
			text, _, _ := strings.Cut(in.Text(), "#")
			fields := strings.Fields(text)
			if len(fields) == 0 {
				continue
			}
			t, err := check.Parse(fields[0])
			if err != nil {
				l.bad++
				fmt.Fprintf(l.a.Stderr, "%s:%d: %v\n", l.file, n, err)
				continue
			}
			if !yield(t) {
				return
			}
		}
		if err := in.Err(); err != nil {
			l.bad++
			fmt.Fprintf(l.a.Stderr, "%s: %v\n", l.file, err)
		}
	}
}

// questions are the requirements asked for on the command line, and the verdict that decides the exit code: "" where
// none does.
func (c *CheckCmd) questions(a *cli.App, file *rules.Set) (extra []check.Question, deciding []string, err error) {
	switch c.Require {
	case "plaintext":
		deciding = append(deciding, check.Opportunistic)
	case "encrypted":
		extra = append(extra, check.Question{Name: "require encrypted",
			Requirement: policy.Requirement{Channel: policy.Encrypted}})
		deciding = append(deciding, "require encrypted")
	case "authenticated":
		deciding = append(deciding, check.ForceTLS)
	}
	if c.AsRule == "" {
		return extra, deciding, nil
	}
	rule, err := c.rule(a, file)
	if err != nil {
		return nil, nil, err
	}
	name := "rule " + c.AsRule
	return append(extra, check.Question{Name: name, Requirement: rule.Requirement()}), append(deciding, name), nil
}

// named reads the rules of --rules, nil where none are named.
func (c *CheckCmd) named(a *cli.App) (*rules.Set, error) {
	if c.Rules == "" {
		return nil, nil
	}
	text, err := a.ReadFile(c.Rules)
	if err != nil {
		return nil, err
	}
	set, err := rules.Parse(c.Rules, text)
	if err != nil {
		return nil, cli.Failure(err, "", cli.ExitFail)
	}
	return set, nil
}

// rule finds the rule of --as-rule in the file of --rules or in the running gateway.
func (c *CheckCmd) rule(a *cli.App, set *rules.Set) (*rule.Rule, error) {
	if set == nil {
		var err error
		if _, set, err = remote.RulesInForce(a, &remote.Gateway{Socket: c.Socket}, false); err != nil {
			return nil, err
		}
	}
	for _, r := range set.Rules() {
		if r.Name == c.AsRule {
			return &r, nil
		}
	}
	return nil, cli.Failure(fmt.Errorf("there is no rule %s", c.AsRule),
		"`postern rules list` shows the rules in force", cli.ExitShort)
}
