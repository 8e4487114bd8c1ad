package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd prints what this binary is.
type versionCmd struct {
	JSON bool `help:"Print a JSON object."`
}

// build is the identity of a binary, stamped by the Go toolchain from the repository it was built in.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run prints the version.
func (v *versionCmd) Run(a *app) error {
	b := thisBuild()
	if v.JSON {
		return json.NewEncoder(a.stdout).Encode(b)
	}
	fmt.Fprintf(a.stdout, "postern %s", b.Version)
	if b.Revision != "" {
		fmt.Fprintf(a.stdout, " (%.12s", b.Revision)
		if b.Modified {
			fmt.Fprint(a.stdout, ", modified")
		}
		fmt.Fprint(a.stdout, ")")
	}
	_, err := fmt.Fprintf(a.stdout, " %s %s\n", b.Go, b.Platform)
	return err
}

func thisBuild() build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
