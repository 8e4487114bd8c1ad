package smtpclient

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

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
	PhaseQuit      Phase = "QUIT"
)

// Kind says what went wrong.
type Kind uint8

// The kinds. Only after Refused and Unsupported can the connection still be used (see Conn.Healthy).
const (
	// the peer was silent for longer than the phase allows, or the context's deadline passed
	Timeout     Kind = iota + 1
	Closed           // the peer closed or reset the connection, or announced it with an unasked Reply
	Refused          // the peer answered no; Reply is set
	Malformed        // the peer's reply broke the grammar or the limits; Remote has what was read
	Handshake        // the TLS handshake failed; also when the peer says so only with the first record after it
	Unsupported      // the peer does not offer what was asked for
	Canceled         // the context was cancelled; Reason is empty, nobody fell short
	// the content cannot be read, sent, or is not as long as said; Reason is empty, nothing was finished
	BadContent
	// Transaction.Still did not hold any more; Reason is empty, nobody fell short and nothing was finished
	Overtaken
)

var kindNames = [...]string{"", "timeout", "closed", "refused", "malformed reply", "handshake failed", "unsupported",
	"cancelled", "bad content", "overtaken"}

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

// broke ends the connection after a failed read or write and says why.
func (c *Conn) broke(ctx context.Context, phase Phase, err error) *Error {
	var long *longLine
	if errors.As(err, &long) {
		return c.malformed(phase, long.begin, errLongLine)
	}
	c.dead = true
	if e := contextError(ctx, phase, err); e != nil {
		return e
	}
	if c.unproven && !isTimeout(err) {
		return c.lateHandshakeError(phase, err)
	}
	e := &Error{Phase: phase, Kind: Closed, Err: err}
	if isTimeout(err) {
		e.Kind = Timeout
	}
	if number, ok := alertIn(err, opRemote); ok {
		e.Alert = AlertName(number) + " (sent by peer)"
	}
	e.Reason = reasonFor(phase, e.Kind, 0)
	return e
}

// contextError is the error when ctx, not the peer, ended the call; else nil. A context cancelled with the cause
// context.DeadlineExceeded has run out of time like any other.
func contextError(ctx context.Context, phase Phase, err error) *Error {
	cause := ctx.Err()
	if cause == nil && errors.Is(err, context.Canceled) {
		cause = err
	}
	switch {
	case cause == nil:
		return nil
	case errors.Is(cause, context.Canceled) && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return &Error{Phase: phase, Kind: Canceled, Err: cause}
	}
	return &Error{Phase: phase, Kind: Timeout, Reason: reasonFor(phase, Timeout, 0), Err: cause}
}

// malformed ends the connection after a reply that cannot be understood: what comes next could be anything.
func (c *Conn) malformed(phase Phase, line []byte, err error) *Error {
	c.dead = true
	return &Error{Phase: phase, Kind: Malformed, Reason: reasonFor(phase, Malformed, 0),
		Remote: smtp.Printable(string(line[:min(len(line), 400)]), 200), Err: err}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// reasonFor maps where and how to the stable code; code is the reply's for Refused.
func reasonFor(phase Phase, kind Kind, code int) policy.Reason {
	switch phase {
	case PhaseGreeting:
		if kind == Timeout {
			return policy.GreetingTimeout
		}
		if kind == Refused || kind == Malformed {
			return policy.GreetingRefused
		}
	case PhaseHello:
		if kind == Refused || kind == Malformed {
			return policy.EHLORefused
		}
	case PhaseStartTLS, PhaseHandshake:
		switch kind {
		case Timeout:
			return policy.TLSTimeout
		case Closed:
			return policy.TLSClosed
		}
		return policy.StartTLSRefused
	}
	switch {
	case kind == Timeout:
		return policy.RemoteTimeout
	case kind == Refused && code >= 500:
		return policy.Remote5xx
	case kind == Refused:
		return policy.Remote4xx
	}
	return policy.RemoteClosed
}

// isNetwork reports whether err means that the connection ended, from either side.
func isNetwork(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &op) && (op.Op == "read" || op.Op == "write")
}
