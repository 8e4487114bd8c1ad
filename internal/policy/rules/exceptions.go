package rules

import (
	"time"

	"postern/internal/mail"
	"postern/internal/policy/exception"
)

// Exceptions returns the exceptions in the order of the file. The slice belongs to the Set.
func (s *Set) Exceptions() []exception.Exception {
	if s == nil {
		return nil
	}
	return s.exceptions
}

// Excepted says what mail to a domain sets aside at a time: by kind, and why. It is nil for nothing.
func (s *Set) Excepted(d mail.Domain, now time.Time) map[string]string {
	if s == nil {
		return nil
	}
	return s.excepted[d].Aside(now)
}

// ExceptionEnds is when the exception for a domain does; zero where there is none.
func (s *Set) ExceptionEnds(d mail.Domain) time.Time {
	if s == nil || s.excepted[d] == nil {
		return time.Time{}
	}
	return s.excepted[d].Expires.At
}
