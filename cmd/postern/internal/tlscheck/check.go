// Package tlscheck has the verbs that judge TLS: of other servers (check) and of our own certificates (trust), and what
// the reasons of a judgement mean (explain).
//
// `postern check` has no judgement of its own: setup.go builds the rooms that deliver, and show.go prints what they
// say.
package tlscheck

import (
	"fmt"
	"slices"

	"postern/cmd/postern/internal/cli"
)

// Run checks.
func (c *CheckCmd) Run(a *cli.App) error {
	targets, err := c.valid()
	if err != nil {
		return err
	}
	lines, err := c.open(a)
	if err != nil {
		return err
	}
	defer lines.Close()
	s, err := c.setUp(a)
	if err != nil {
		return err
	}
	defer s.close()
	list := &targetList{a: a, first: targets, file: c.File, lines: lines}
	v := c.view(a, s)
	if c.Watch > 0 {
		err = c.watch(a, s, v, slices.Collect(list.all()))
	} else {
		err = s.checker.Run(a.Ctx, list.all(), v.show)
		v.end()
	}
	switch {
	case err != nil:
		return fmt.Errorf("the check was broken off: %w", err)
	case list.bad > 0:
		return fmt.Errorf("%s of %s cannot be meant", cli.Plural(list.bad, "line"), c.File)
	case v.short > 0:
		return cli.Short("")
	}
	return nil
}
