package stscache

import (
	"postern/internal/policy"
	"postern/internal/policy/tlsrpt"
)

// Kind says why there is no policy, or why the one that is kept could not be renewed. "" is no reason.
type Kind string

// The kinds; the list is closed.
const (
	NoRecord      Kind = "no-record"               // the domain announces nothing: no fault where nothing is kept
	RecordGone    Kind = "record-gone"             // the domain announces nothing any more, and a policy of it is kept
	RecordUnknown Kind = policy.FaultRecordUnknown // nobody could say whether there is a record
	RecordInvalid Kind = "record-invalid"          // the record is faulty, or there are two
	HostUnknown   Kind = "host-unknown"            // the policy host has no address, or nobody could say which
	HostPrivate   Kind = "host-private"            // the policy host has addresses that we never speak to
	HostSilent    Kind = "host-silent"             // nothing answers there, or not in time
	HostRefused   Kind = "host-refused"            // the connection is refused or breaks
	TLSFailed     Kind = "tls-failed"              // no TLS came about, for a reason other than the certificate
	Certificate   Kind = "certificate"             // the certificate does not prove the policy host
	BadStatus     Kind = "bad-status"              // an answer other than 200: a redirect, an error
	BadAnswer     Kind = "bad-answer"              // an answer that is no HTTP, breaks off, is too large or encoded
	PolicyInvalid Kind = "policy-invalid"          // what came is no policy
	NotYet        Kind = policy.FaultNotYet        // it is still being asked
	Busy          Kind = policy.FaultBusy          // too much else is being asked
	kindUnknown   Kind = "unknown-failure"         // a Fetcher that is not ours gave an error of its own
)

// Faults lists the kinds that are faults, but for that of a Fetcher which is not ours.
func Faults() []Kind {
	return []Kind{RecordGone, RecordUnknown, RecordInvalid, HostUnknown, HostPrivate, HostSilent, HostRefused,
		TLSFailed, Certificate, BadStatus, BadAnswer, PolicyInvalid, NotYet, Busy}
}

// TLSRPT is the result type of RFC 8460 §4.3.2.2 for a report to the domain; "" where nothing is to be reported,
// because there is no fault or it is ours.
func (k Kind) TLSRPT() string {
	switch k {
	case "", NoRecord, NotYet, Busy:
		return ""
	case RecordInvalid, PolicyInvalid:
		return tlsrpt.STSPolicyInvalid
	case Certificate:
		return tlsrpt.STSWebPKIInvalid
	}
	return tlsrpt.STSPolicyFetchError
}

// Note is why there is no policy, or what is wrong beside one. The zero value says nothing.
type Note struct {
	Kind Kind
	Text string // one sentence for people, without a full stop; what strangers wrote is escaped and bounded
}

// Fault reports whether something is wrong: a domain that announces nothing is as it should be.
func (n Note) Fault() bool { return n.Kind != "" && n.Kind != NoRecord }

// Reason is policy.STSPolicyUnavailable for a fault, else "".
func (n Note) Reason() policy.Reason {
	if n.Fault() {
		return policy.STSPolicyUnavailable
	}
	return ""
}

// Failure is the error of a Fetcher.
type Failure struct {
	Note
	Err error // the cause, for logs alone; nil where there is none
}

// Error is the sentence.
func (f *Failure) Error() string { return f.Text }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

func failed(kind Kind, text string, err error) *Failure { return &Failure{Note{kind, text}, err} }
