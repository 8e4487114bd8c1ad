// Package cli is what a verb of the command line runs in, and how it talks to people.
//
// A verb is a struct with a method Run(*App). It reads from and writes to the App alone: results go to standard output
// and nothing else does. What cannot be done is returned as an error, best with a hint that can be pasted (WithHint)
// and with the exit code that it stands for (Usage, Short, Failure). Lists are printed by a Table, single things by
// App.Detail; both make harmless what strangers wrote, and fit 80 columns.
package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
)

// The exit codes, the same for every verb. They are part of the outside surface and of the man page.
const (
	ExitOK    = 0 // done
	ExitShort = 1 // what was checked fell short, or what was named is not there
	ExitUsage = 2 // the command line cannot be meant
	ExitFail  = 3 // it could not be reached or done

	// ExitConfig ends serve where only somebody who changes the configuration, or a file that it names, can help:
	// EX_CONFIG of sysexits(3), which the systemd unit does not answer with another start.
	ExitConfig = 78
)

// App is what a verb runs in: the world around the process, so that a verb touches nothing else.
type App struct {
	Ctx            context.Context // ends with the first SIGINT or SIGTERM
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	ConfigFile     string   // --config, "" when not given
	Ending         []func() // what a verb leaves to be done when everything has been said
}

// Asker names the person at the keyboard for the audit trail; the gateway adds the user id the kernel tells it.
func (a *App) Asker() string {
	if name := a.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// Object prints v as one line of JSON.
func (a *App) Object(v any) error {
	enc := json.NewEncoder(a.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// ReadFile reads a file named on the command line; "-" is standard input.
func (a *App) ReadFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(a.Stdin)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	return b, nil
}
