package confcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/process"
	"postern/cmd/postern/internal/rooms"
	"postern/cmd/postern/internal/storage"
	"postern/internal/config"
	"postern/internal/platform/ram"
)

// Cmd is the verb about the configuration file.
type Cmd struct {
	Check        configCheckCmd   `cmd:"" help:"Check the configuration and the files it names."`
	Show         configShowCmd    `cmd:"" help:"Print the configuration in force, defaults included."`
	Example      configExampleCmd `cmd:"" help:"Print every key with its meaning and default."`
	HashPassword hashPasswordCmd  `cmd:"" help:"Make the password_hash of a [[user]]; reads the password from standard input."`
}

// configCheckCmd answers whether serve could start with this file, and what it should not be told.
type configCheckCmd struct {
	JSON bool `help:"Print newline-delimited JSON objects: file, line, key, severity, message, hint."`
}

// Run prints everything that is found; nothing fatal is exit code 0. As root it becomes the user that the gateway would
// be.
func (cmd *configCheckCmd) Run(a *cli.App) error {
	c, err := a.Load()
	if problems, ok := errors.AsType[*config.Problems](err); ok {
		return cmd.broken(a, problems)
	}
	if err != nil {
		return err
	}
	found, judged := process.StandIn(c)
	plan := rooms.MemoryPlan(c, ram.System())
	_, refused := refusals(c)
	found = slices.Concat(found, refused, Doubts(a.Ctx, c, time.Now()), outlook(a, c, &plan, judged))
	database, err := storage.Examine(a.Ctx, c)
	if err != nil {
		found = append(found, config.Finding{Key: "store", What: err.Error(), Hint: cli.HintOf(err), Fatal: true})
	}
	fatal := 0
	for _, f := range found {
		if f.Fatal {
			fatal++
		}
		if cmd.JSON {
			if err := a.Object(findingForm(c, f)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(a.Stderr, cli.FindingText(c, f))
	}
	switch {
	case fatal > 0 && cmd.JSON:
		return cli.Short("")
	case fatal > 0:
		return cli.Short(fmt.Sprintf("%s: %s", c.Path(), cli.Plural(fatal, "problem")))
	case cmd.JSON:
		return nil
	}
	lines := costs(&plan)
	if database != "" {
		lines = append(lines, database)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(a.Stdout, line); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.Stdout, "%s: good\n", c.Path())
	return err
}

// broken tells what keeps a file from being read.
func (cmd *configCheckCmd) broken(a *cli.App, problems *config.Problems) error {
	if !cmd.JSON {
		return cli.Short(problems.Error() + "\n" + cli.Plural(len(problems.List), "problem"))
	}
	for _, p := range problems.List {
		if err := a.Object(findingJSON{p.File, p.Line, p.Key, severity(true), p.What, p.Hint}); err != nil {
			return err
		}
	}
	return cli.Short("")
}

// findingJSON is a finding as it is printed with --json. The names stay for ever.
type findingJSON struct {
	File     string `json:"file"`
	Line     int    `json:"line"`     // 0: nothing of it is written in the file
	Key      string `json:"key"`      // "": the file as a whole
	Severity string `json:"severity"` // "error" or "warning"
	Message  string `json:"message"`
	Hint     string `json:"hint"`
}

func findingForm(c *config.Config, f config.Finding) findingJSON {
	return findingJSON{c.Path(), c.Line(f.Key), f.Key, severity(f.Fatal), f.What, f.Hint}
}

func severity(fatal bool) string {
	if fatal {
		return "error"
	}
	return "warning"
}

// configShowCmd prints what is in force.
type configShowCmd struct {
	JSON bool `help:"Print a JSON object."`
}

// Run prints the configuration with its defaults. Password hashes are left out.
func (s *configShowCmd) Run(a *cli.App) error {
	c, err := a.Load()
	if err != nil {
		return err
	}
	if s.JSON {
		return json.NewEncoder(a.Stdout).Encode(c.Map())
	}
	_, err = io.WriteString(a.Stdout, c.TOML())
	return err
}

// configExampleCmd prints the documented example.
type configExampleCmd struct{}

// Run prints it.
func (*configExampleCmd) Run(a *cli.App) error {
	_, err := io.WriteString(a.Stdout, config.Example())
	return err
}
