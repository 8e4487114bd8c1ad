package smtpclient

import (
	"strings"

	"postern/internal/policy"
	"postern/internal/smtp"
)

// Phase is where in the dialogue something happened, by the command that was being answered.
type Phase string

// The phases.
const (
	PhaseGreeting  Phase = "greeting"
	PhaseHello     Phase = "EHLO"
	PhaseStartTLS  Phase = "STARTTLS"
	PhaseHandshake Phase = "TLS handshake"
	PhaseMail      Phase = "MAIL"
	PhaseRcpt      Phase = "RCPT"
	PhaseData      Phase = "DATA"
	PhaseContent   Phase = "." // content and what ends it: the final dot, or BDAT
	PhaseReset     Phase = "RSET"
)

// Kind says what went wrong.
type Kind uint8

// The kinds. Only after Refused and Unsupported can the connection still be used.
const (
	Timeout     Kind = iota + 1 // the peer was silent for longer than the phase allows, or the context's deadline passed
	Closed                      // the peer closed or reset the connection
	Refused                     // the peer answered no; Reply is set
	Malformed                   // the peer's reply broke the grammar or the limits; Remote has what was read
	Handshake                   // the TLS handshake failed; also when the peer says so only with the first record after it
	Unsupported                 // the peer does not offer what was asked for
	Canceled                    // the context was cancelled
	BadContent                  // the content could not be read, or is not what its Size says; nothing was finished
)

var kindNames = [...]string{"", "timeout", "closed", "refused", "malformed reply", "handshake failed", "unsupported",
	"cancelled", "bad content"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(?)"
}

// Error is every error of a Conn.
type Error struct {
	Phase Phase
	Kind  Kind
	// Reply is the peer's reply, if it is what the error is about.
	Reply *smtp.Reply
	// Reason is the stable code of what happened.
	Reason policy.Reason
	// Alert names the TLS alert, in RFC 8446's spelling with the side that sent it: "handshake_failure (sent by peer)".
	Alert string
	// Remote is what the peer sent instead of a valid reply or TLS record, escaped and bounded.
	Remote string
	// Sent says that the end of the content was written and no reply came: the peer may have the message.
	Sent bool
	// ClientCertificate says that the handshake presented our certificate and the peer then refused or closed: worth
	// one more try without.
	ClientCertificate bool
	// Err is the cause from net, crypto/tls or the context, if any. Its text may quote the peer.
	Err error
}

// Error says phase and kind, escaped and on one line.
func (e *Error) Error() string {
	parts := []string{string(e.Phase) + ": " + e.Kind.String()}
	if e.Reply != nil {
		parts = append(parts, e.Reply.String())
	}
	if e.Alert != "" {
		parts = append(parts, "alert "+e.Alert)
	}
	if e.Remote != "" {
		parts = append(parts, "the peer sent: "+e.Remote)
	}
	if e.Err != nil {
		parts = append(parts, smtp.Printable(e.Err.Error(), 300))
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
