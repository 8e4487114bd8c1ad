package main

import (
	"encoding/json"
	"fmt"

	"postern/cmd/postern/internal/cli"
)

// versionCmd prints what this binary is.
type versionCmd struct {
	JSON bool `help:"Print a JSON object."`
}

// Run prints the version.
func (v *versionCmd) Run(a *cli.App) error {
	b := cli.ThisBuild()
	if v.JSON {
		return json.NewEncoder(a.Stdout).Encode(b)
	}
	fmt.Fprintf(a.Stdout, "postern %s", b.Version)
	if b.Revision != "" {
		fmt.Fprintf(a.Stdout, " (%.12s", b.Revision)
		if b.Modified {
			fmt.Fprint(a.Stdout, ", modified")
		}
		fmt.Fprint(a.Stdout, ")")
	}
	_, err := fmt.Fprintf(a.Stdout, " %s %s\n", b.Go, b.Platform)
	return err
}
