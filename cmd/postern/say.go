package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"postern/internal/config"
)

// How the command line talks to people: results go to standard output and nothing else does; an error is one line that
// says what happened, then a hint that can be pasted, both on standard error.

// sayError is an error with what a person needs besides its text.
type sayError struct {
	err  error
	hint string
	code int
}

// Error is the text without the hint.
func (e *sayError) Error() string { return e.err.Error() }

// Unwrap returns the error that was dressed.
func (e *sayError) Unwrap() error { return e.err }

// failure dresses an error in a hint, "" for none, and the exit code that it stands for.
func failure(err error, hint string, code int) error { return &sayError{err, hint, code} }

// withHint adds a hint to an error: something that can be done about it, best a command between backquotes.
func withHint(err error, hint string) error { return failure(err, hint, exitFail) }

// usage marks an error of the command line itself.
func usage(err error, hint string) error { return failure(err, hint, exitUsage) }

// short marks the answer "no": what was checked fell short. Its text may be empty when standard output has said it all.
func short(text string) error { return failure(errors.New(text), "", exitShort) }

// misconfigured marks an error that only another configuration, or another file that it names, can mend.
func misconfigured(err error) error { return failure(err, hintOf(err), exitConfig) }

// hintOf is the hint of an error, "" where it has none.
func hintOf(err error) string {
	if e, ok := errors.AsType[*sayError](err); ok {
		return e.hint
	}
	return ""
}

// fail prints an error and returns the exit code it stands for.
func (a *app) fail(err error) int {
	code, hint := exitFail, ""
	if e, ok := errors.AsType[*sayError](err); ok {
		code, hint = e.code, e.hint
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(a.stderr, "postern: %s\n", text)
	}
	if hint != "" {
		fmt.Fprintf(a.stderr, "   hint: %s\n", hint)
	}
	return code
}

// load reads the configuration that --config, the environment or the usual places name.
func (a *app) load() (*config.Config, error) {
	path, err := config.Find(a.configFile, a.getenv("POSTERN_CONFIG"))
	if err != nil {
		return nil, withHint(err, "`postern config example > postern.toml` writes one to start from")
	}
	c, err := config.Load(path)
	if problems, ok := errors.AsType[*config.Problems](err); ok {
		return nil, withHint(fmt.Errorf("%s cannot be used:\n%w", path, problems), "`postern config example` prints every key with its meaning")
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, withHint(fmt.Errorf("there is no configuration file %s", path),
			"`postern config example > "+path+"` writes one to start from")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return c, nil
}

// onTerminal reports whether f is a terminal. Colour, live tables and prompts are for terminals only.
func onTerminal(f any) bool {
	file, ok := beneath(f).(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// plural is "1 problem" or "2 problems".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		noun = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
