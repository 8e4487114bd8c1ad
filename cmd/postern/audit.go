package main

import (
	"fmt"
	"strings"
)

// auditCmd shows what administrators did.
type auditCmd struct {
	remote
	Limit int `placeholder:"N" default:"100" help:"At most so many, the newest first."`
}

// Run lists.
func (c *auditCmd) Run(a *app) error {
	client, err := c.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	any := false
	for e, err := range client.Audit(a.ctx, c.Limit) {
		switch {
		case err != nil:
			return tell(err)
		case c.JSON:
			if err := a.object(e); err != nil {
				return err
			}
			continue
		}
		any = true
		fmt.Fprintf(a.stdout, "%s  %s\n", clock(&e.At), e.Action)
		a.detail("  ", "By", e.By)
		a.detail("  ", "Target", e.Target)
		if e.Count > 0 {
			a.detail("  ", "Count", fmt.Sprint(e.Count))
		}
		a.lines("Before", e.Before)
		a.lines("After", e.After)
	}
	if !any && !c.JSON {
		fmt.Fprintln(a.stdout, "no administrator has changed anything yet")
	}
	return nil
}

// lines prints a text of several lines under one label.
func (a *app) lines(label, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		a.detail("  ", label, line)
		label = ""
	}
}
