package rooms

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"postern/internal/config"
	"postern/internal/policy/certcheck/roots"
)

// OpenRoots opens the roots of a configuration; notice is told of files that cannot be read, and of certificates left
// out.
func OpenRoots(cfg *config.Config, notice func(roots.Notice)) (*roots.Store, error) {
	s, err := roots.New(roots.Config{Public: string(cfg.Trust.Roots), Dir: ConfigDir(cfg), Notice: notice})
	if err != nil {
		return nil, fmt.Errorf("the public roots cannot be read: %w", err)
	}
	return s, nil
}

// WarnOfRoots writes what is noticed of roots as warnings for people.
func WarnOfRoots(w io.Writer) func(roots.Notice) {
	return func(n roots.Notice) {
		if n.Err != nil {
			fmt.Fprintf(w, "warning: trust %s: %v\n", n.Trust, n.Err)
		}
		for _, l := range n.Left {
			fmt.Fprintf(w, "warning: trust %s: %s: %s; it is not trusted\n", n.Trust, n.File, l)
		}
	}
}

// ConfigDir is the folder of the configuration file, from which relative names start.
func ConfigDir(cfg *config.Config) string {
	if cfg.Path() == "" {
		return ""
	}
	return filepath.Dir(cfg.Path())
}

// The law of files that are named as trust. One that cannot be read is our fault: mail that needs it waits with
// policy-unavailable, and nobody else is told to act. So it is said where it can still be mended: rules that name one
// are refused when they are applied, edited or previewed, `postern config check` counts it as a problem, and at the
// start, at a reload and when it changes the log warns of each that what is in force names.

// TrustIn says what is wrong with a file of CA certificates as it is now, and what to do.
func TrustIn(s *roots.Store) func(file string) (wrong, hint string) {
	return func(file string) (wrong, hint string) {
		err := s.Check(file)
		if e, ok := errors.AsType[*roots.Error](err); ok {
			return fmt.Sprintf("%s: %v", e.File, e.Err), e.Hint
		}
		if err != nil {
			return err.Error(), ""
		}
		return "", ""
	}
}
