package access

import (
	"errors"
	"fmt"
	"strings"
)

// How a request is refused, whoever asks for what.
var (
	// ErrForbidden: the principal may not do this, or not for this mail.
	ErrForbidden = errors.New("you may not do this")
	// ErrStale: the action is dangerous and the proof of who asks is too old; prove it again.
	ErrStale = errors.New("prove again who you are")
	// ErrNotFound: there is no such thing, or none that the principal may see; the two are not told apart.
	ErrNotFound = errors.New("there is no such thing")
	// ErrWho: a change was asked for without saying who asks.
	ErrWho = errors.New("a change needs to say who asks for it")
	// ErrBadRequest is wrapped by every error about the request itself.
	ErrBadRequest = errors.New("the request cannot be meant")
)

// NotFound is an ErrNotFound that says what is not there, in the words of fmt.Errorf. It says no more than that: what
// the principal may not see is told in the same words.
func NotFound(format string, args ...any) error { return &notFound{fmt.Sprintf(format, args...)} }

type notFound struct{ text string }

// Error says what is not there.
func (e *notFound) Error() string { return e.text }

// Is makes it an ErrNotFound.
func (e *notFound) Is(target error) bool { return target == ErrNotFound }

// BadRequest is an error about the request itself, in the words of fmt.Errorf.
func BadRequest(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrBadRequest}, args...)...)
}

// Fault is what is wrong with one field of a request, in words that suit a form and a program, and what to do.
type Fault struct{ Field, What, Hint string }

// FieldsError refuses a request for what single fields of it say. It wraps why: ErrBadRequest, or ErrForbidden where
// somebody else may say it.
type FieldsError struct {
	Why    error
	Faults []Fault // at least one
}

// Error says what is wrong, without what to do.
func (e *FieldsError) Error() string {
	var what []string
	for _, f := range e.Faults {
		what = append(what, f.What)
	}
	return strings.Join(what, "; ")
}

// Unwrap is why it is refused.
func (e *FieldsError) Unwrap() error { return e.Why }

// OrNil is the error, or none where nothing is wrong.
func (e *FieldsError) OrNil() error {
	if len(e.Faults) == 0 {
		return nil
	}
	return e
}
