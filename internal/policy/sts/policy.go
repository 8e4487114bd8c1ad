package sts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"postern/internal/mail"
)

// Mode is what a policy asks for.
type Mode string

// The modes (RFC 8461 §5).
const (
	Enforce Mode = "enforce" // mail goes to hosts that pass, or not at all
	Testing Mode = "testing" // mail goes as if there were no policy, and what falls short is reported
	None    Mode = "none"    // the domain takes its policy back
)

// MaxAge is how long a policy counts at most (RFC 8461 §3.2), and MaxBody how many octets one may have (RFC 8461 §3.3).
const (
	MaxAge  = 31557600 * time.Second
	MaxBody = 64 << 10
)

// Policy is what a domain asks of those who send to it. The zero value is no policy.
type Policy struct {
	Mode Mode
	// MX are the patterns that a mail host must match one of: names as A-labels in lower case, some with "*." in front,
	// none twice. It is never empty, unless Mode is None.
	MX []string
	// MaxAge is how long the policy counts after each time it was fetched, in whole seconds: 0 to the constant MaxAge.
	MaxAge time.Duration
	// Oddities are what was read although it is not as the RFC has it, each a sentence, at most ten. Nothing follows
	// from them.
	Oddities []string
}

// New makes a policy of our own; unlike one that was read it must be right in everything. The error is a *Fault.
func New(mode Mode, mx []string, maxAge time.Duration) (Policy, error) {
	p := Policy{Mode: mode, MaxAge: maxAge}
	named := map[string]bool{}
	for _, text := range mx {
		pattern, problem := parsePattern(text)
		if problem != "" {
			return Policy{}, &Fault{Text: problem}
		}
		if !named[pattern] {
			named[pattern] = true
			p.MX = append(p.MX, pattern)
		}
	}
	switch {
	case mode != Enforce && mode != Testing && mode != None:
		return Policy{}, &Fault{Text: "the mode is " + said(string(mode)) + ", want enforce, testing or none"}
	case len(p.MX) == 0 && mode != None:
		return Policy{}, &Fault{Text: noHosts(mode)}
	case maxAge < 0 || maxAge > MaxAge || maxAge%time.Second != 0:
		return Policy{}, &Fault{Text: fmt.Sprintf("max_age is %v, want 0 to %d whole seconds", maxAge,
			MaxAge/time.Second)}
	case len(p.Text()) > MaxBody:
		return Policy{}, &Fault{Text: fmt.Sprintf("the policy would be larger than %d bytes", MaxBody)}
	}
	return p, nil
}

// Matches reports whether the name of a mail host is one that the policy means (RFC 8461 §4.1). A wildcard stands for
// exactly one label. Address literals and no name at all match nothing. What follows is up to the Mode.
func (p Policy) Matches(host mail.Domain) bool {
	if _, literal := host.Literal(); literal || host.IsZero() {
		return false
	}
	name := host.String()
	_, parent, _ := strings.Cut(name, ".")
	for _, pattern := range p.MX {
		if above, wild := strings.CutPrefix(pattern, "*."); !wild && name == pattern || wild && parent == above &&
			above != "" {
			return true
		}
	}
	return false
}

// Lines are the lines of the policy, as reports quote them (RFC 8460 §4.4).
func (p Policy) Lines() []string {
	out := []string{"version: " + Version, "mode: " + string(p.Mode)}
	for _, pattern := range p.MX {
		out = append(out, "mx: "+pattern)
	}
	return append(out, fmt.Sprintf("max_age: %d", p.MaxAge/time.Second))
}

// Text is the policy as it is published. ParsePolicy reads the same out of it, but for Oddities, unless a policy that
// somebody else wrote in fewer characters is larger than MaxBody in ours.
func (p Policy) Text() string { return strings.Join(p.Lines(), "\r\n") + "\r\n" }

// Record is a record for the policy that changes whenever the policy does and needs no memory.
func (p Policy) Record() Record {
	sum := sha256.Sum256([]byte(p.Text()))
	return Record{ID: hex.EncodeToString(sum[:16])}
}
