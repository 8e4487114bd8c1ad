package rules

import (
	"net/netip"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Set is the rules in force, compiled. It never changes after Parse and is safe for concurrent use. The zero Set has
// no rules.
type Set struct {
	rules []Rule
}

// Facts is what a message shows the rules.
type Facts struct {
	From       mail.Address // envelope sender, the zero address for "<>"
	Recipients []mail.Address
	// Local may say of each recipient, in the same order, that it belongs to a domain of our own servers: outbound
	// rules neither match nor taint it. nil means that none does.
	Local  []bool
	Client netip.Addr
	Header mail.Header
	Size   int64 // of the content in bytes
	Now    time.Time
}

// Decision is what the rules demand for one message.
type Decision struct {
	Recipients []Outcome // in the order of Facts.Recipients
}

// Outcome is what the rules demand for one recipient. Outcomes may share memory with each other and with the Set:
// treat them as read-only.
type Outcome struct {
	Requirement policy.Requirement
	// Rules are the names of the rules that shaped the requirement, in the order of the file.
	Rules []string
	// Matched says that one of Rules names this very recipient; false for one that is only tainted or unspecified.
	Matched bool
	// Window is how long the delivery may wait for the requirement; 0 means the ordinary lifetime.
	Window time.Duration
	// Tested are the rules under test that would have shaped the requirement, and TestedRequirement what it would
	// have been with them; the zero Requirement when Tested is empty.
	Tested            []string
	TestedRequirement policy.Requirement
}

// Rules returns the rules in the order of the file. The slice belongs to the Set.
func (s *Set) Rules() []Rule { return s.rules }
