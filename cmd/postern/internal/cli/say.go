package cli

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"
)

// How the command line talks to people: results go to standard output and nothing else does; an error is one line that
// says what happened, then a hint that can be pasted, both on standard error.

// Error is an error with what a person needs besides its text.
type Error struct {
	Err  error
	Hint string
	Code int
}

// Error is the text without the hint.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error that was dressed.
func (e *Error) Unwrap() error { return e.Err }

// Failure dresses an error in a hint, "" for none, and the exit code that it stands for.
func Failure(err error, hint string, code int) error { return &Error{err, hint, code} }

// WithHint adds a hint to an error: something that can be done about it, best a command between backquotes.
func WithHint(err error, hint string) error { return Failure(err, hint, ExitFail) }

// Usage marks an error of the command line itself.
func Usage(err error, hint string) error { return Failure(err, hint, ExitUsage) }

// Short marks the answer "no": what was checked fell short, or what was named is not there. Its text may be empty when
// standard output has said it all.
func Short(text string) error { return Failure(errors.New(text), "", ExitShort) }

// Misconfigured marks an error that only another configuration, or another file that it names, can mend.
func Misconfigured(err error) error { return Failure(err, HintOf(err), ExitConfig) }

// HintOf is the hint of an error, "" where it has none.
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}

// Report prints an error and returns the exit code it stands for.
func (a *App) Report(err error) int {
	code, hint := ExitFail, ""
	if e, ok := errors.AsType[*Error](err); ok {
		code, hint = e.Code, e.Hint
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(a.Stderr, "postern: %s\n", text)
	}
	if hint != "" {
		fmt.Fprintf(a.Stderr, "   hint: %s\n", hint)
	}
	return code
}

// OnTerminal reports whether f is a terminal. Colour, live tables and prompts are for terminals only.
func OnTerminal(f any) bool {
	file, ok := Beneath(f).(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
