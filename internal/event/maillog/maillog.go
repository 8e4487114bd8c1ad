// Package maillog is the mail log: one structured line for each event, through log/slog. The first word says what
// happened, the keys are those of the trace object (design.md §7), so that a line and a record can be laid side by
// side.
//
//	level  what
//	DEBUG  connections and sessions, attempts at sites that work
//	INFO   mail accepted, settled, notices; logins; attempts that failed; what administrators did
//	WARN   what an administrator should look at: failed and held mail, failed handshakes of clients, warnings
//
// The log never holds message content, subjects or credentials. Every text a stranger chose is one bounded printable
// line before it reaches the handler, whatever the handler does.
package maillog

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp"
)

// maxValue bounds one value of a line, in bytes.
const maxValue = 500

// Log is an event.Sink that writes to a slog.Logger. Safe for concurrent use, as the logger's handler is.
type Log struct{ to *slog.Logger }

// New returns a Log that writes to to.
func New(to *slog.Logger) *Log { return &Log{to} }

// Emit writes e as one line.
func (l *Log) Emit(e event.Event) {
	level, what, attrs := line(e)
	if what == "" {
		return
	}
	l.to.LogAttrs(context.Background(), level, what, attrs...)
}

// attrs collects the pairs of a line; what is empty or zero is left out.
type attrs []slog.Attr

func (a *attrs) text(key, value string) {
	if value != "" {
		*a = append(*a, slog.String(key, smtp.Printable(value, maxValue)))
	}
}

func (a *attrs) number(key string, n int64) { *a = append(*a, slog.Int64(key, n)) }

func (a *attrs) ip(key string, ip netip.Addr) {
	if ip.IsValid() {
		a.text(key, ip.String())
	}
}

func (a *attrs) at(key string, t time.Time) {
	if !t.IsZero() {
		*a = append(*a, slog.String(key, t.UTC().Format(time.RFC3339)))
	}
}

// took writes a duration in whole milliseconds.
func (a *attrs) took(key string, d time.Duration) { a.number(key+"_ms", d.Milliseconds()) }

func (a *attrs) tls(t *mail.TLS) {
	if t == nil {
		return
	}
	a.text("tls_version", t.Version)
	a.text("cipher", t.Cipher)
	a.number("bits", int64(t.Bits))
	a.text("group", t.Group)
	if t.Resumed {
		*a = append(*a, slog.Bool("resumed", true))
	}
	if t.Client != nil && t.Client.Presented {
		a.text("client_cert", t.Client.Subject)
		*a = append(*a, slog.Bool("client_cert_verified", t.Client.Verified))
	}
}

// try writes where an attempt ended and what the channel was like there.
func (a *attrs) try(at *attempt.Attempt) {
	if at == nil {
		return
	}
	if t := at.Telling(); t != nil {
		a.text("mx", t.Host)
		a.ip("ip", t.IP)
		a.text("rung", string(t.Rung))
		a.tls(t.TLS())
		a.text("alert", t.Alert)
		a.text("remote", t.Remote)
		if t.Evidence != nil && len(t.Evidence.Chain) > 0 {
			a.text("cert_subject", t.Evidence.Chain[0].Subject)
			a.at("cert_not_after", t.Evidence.Chain[0].NotAfter)
			a.text("cert_sha256", t.Evidence.Chain[0].SHA256)
		}
	}
	if at.Reply != nil {
		a.number("code", int64(at.Reply.Code))
		a.text("status", at.Reply.Status)
		a.text("reply", at.Reply.Text)
	}
	a.text("notes", strings.Join(at.Notes, " "))
}

// address writes an envelope address; the null sender is "<>".
func (a *attrs) address(key string, addr mail.Address) {
	if addr.IsNull() {
		a.text(key, "<>")
		return
	}
	a.text(key, addr.String())
}

func (a *attrs) why(reason policy.Reason, text string) {
	a.text("reason", string(reason))
	a.text("text", text)
}
