package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"postern/internal/config"
	"postern/internal/ram"
)

// configCmd is the verb about the configuration file.
type configCmd struct {
	Check        configCheckCmd   `cmd:"" help:"Check the configuration and the files it names."`
	Show         configShowCmd    `cmd:"" help:"Print the configuration in force, defaults included."`
	Example      configExampleCmd `cmd:"" help:"Print every key with its meaning and default."`
	HashPassword hashPasswordCmd  `cmd:"" help:"Make the password_hash of a [[user]]; reads the password from standard input."`
}

// configCheckCmd answers whether serve could start with this file.
type configCheckCmd struct{}

// Run prints every problem; none is exit code 0.
func (*configCheckCmd) Run(a *app) error {
	c, err := a.load()
	if problems, ok := errors.AsType[*config.Problems](err); ok {
		return short(problems.Error() + "\n" + plural(len(problems.List), "problem"))
	}
	if err != nil {
		return err
	}
	plan := memoryPlan(c, ram.System())
	problems := slices.Concat(c.CheckFiles(time.Now()), c.CheckSenders(), exceeding(c, &plan), a.ruleFiles(c))
	fatal := 0
	for _, p := range problems {
		kind := "warning"
		if p.Fatal {
			kind, fatal = "problem", fatal+1
		}
		fmt.Fprintf(a.stderr, "%s: %s: %s\n", kind, p.Key, p.What)
	}
	if fatal > 0 {
		return short(fmt.Sprintf("%s: %s", c.Path(), plural(fatal, "problem")))
	}
	for _, line := range costs(&plan) {
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.stdout, "%s: good\n", c.Path())
	return err
}

// configShowCmd prints what is in force.
type configShowCmd struct {
	JSON bool `help:"Print a JSON object."`
}

// Run prints the configuration with its defaults. Password hashes are left out.
func (s *configShowCmd) Run(a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if s.JSON {
		return json.NewEncoder(a.stdout).Encode(c.Map())
	}
	_, err = io.WriteString(a.stdout, c.TOML())
	return err
}

// configExampleCmd prints the documented example.
type configExampleCmd struct{}

// Run prints it.
func (*configExampleCmd) Run(a *app) error {
	_, err := io.WriteString(a.stdout, config.Example())
	return err
}
