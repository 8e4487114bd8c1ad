package dns

import (
	"errors"

	"postern/internal/mail"
)

// Kind says how a question failed.
type Kind uint8

// The kinds. There is none for "no such record": that is an empty answer.
const (
	NXDomain  Kind = iota + 1 // the name does not exist, nor anything below it (RFC 8020 §2)
	ServFail                  // the servers answered that they cannot tell
	Timeout                   // no server answered
	Refused                   // the servers refuse to answer us
	Bogus                     // the answer failed DNSSEC validation (RFC 8914 §4.7 and its neighbours)
	Malformed                 // the servers answered with something that is no answer
)

var kindTexts = [...]string{
	NXDomain:  "the name does not exist",
	ServFail:  "the DNS servers could not find out (SERVFAIL)",
	Timeout:   "no DNS server answered",
	Refused:   "the DNS servers refused to answer",
	Bogus:     "the answer failed DNSSEC validation",
	Malformed: "the DNS servers gave no usable answer",
}

// String returns the kind as part of a sentence.
func (k Kind) String() string {
	if k > 0 && int(k) < len(kindTexts) {
		return kindTexts[k]
	}
	return "the DNS question failed"
}

// Error is the error of every Resolver method.
type Error struct {
	Kind Kind
	Name mail.Domain // the name asked for
	Type string      // the record type asked for: "MX"
	// Server is who was asked last, "" when nobody was.
	Server string
	// Oddity says in our own words what about the server made the question fail, where that is known; "" otherwise.
	Oddity string
	// Err is the cause underneath, for logs alone; it may be nil.
	Err error
}

// Error says what was asked and what came of it, in our own words.
func (e *Error) Error() string {
	text := "DNS " + e.Type + " of " + e.Name.String() + ": " + e.Kind.String()
	if e.Server != "" && e.Kind != NXDomain {
		text += " (asked " + e.Server + ")"
	}
	if e.Oddity != "" {
		text += ": " + e.Oddity
	}
	return text
}

// OddityOf returns what about a server made a question fail, "" where that is not known.
func OddityOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Oddity
	}
	return ""
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether asking again later may help: true for all kinds but NXDomain.
func (e *Error) Temporary() bool { return e.Kind != NXDomain }

// IsNXDomain reports whether err says that the name does not exist.
func IsNXDomain(err error) bool { return KindOf(err) == NXDomain }

// KindOf returns the Kind of err; 0 for nil, ServFail for an error that is not an *Error.
func KindOf(err error) Kind {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ServFail
}
