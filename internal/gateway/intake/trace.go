package intake

import (
	"fmt"
	"net/netip"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// Trace turns what the engine sees on a listener into events.
func (i *Intake) Trace(listener string) smtpserver.Trace {
	emit := i.cfg.Sink.Emit
	return smtpserver.Trace{
		Connected: func(c smtpserver.ConnInfo) {
			emit(event.Connected{Listener: listener, Client: c.Client.Addr()})
		},
		Disconnected: func(c smtpserver.ConnInfo, e smtpserver.End) {
			emit(event.Disconnected{Listener: listener, Client: c.Client.Addr(), Messages: e.Messages, Took: e.Took,
				Why: e.Why, TLS: c.TLS != nil, Broken: e.Broken, Shown: c.Shown})
		},
		Rejected: func(client netip.AddrPort, text string) {
			emit(event.Refused{Listener: listener, Client: client.Addr(), Command: "connect", Code: 421, Text: text})
		},
		HandshakeFailed: func(c smtpserver.ConnInfo, err error) {
			emit(event.HandshakeFailed{Listener: listener, Client: c.Client.Addr(),
				Text: smtp.Printable(err.Error(), 300), Shown: c.Shown})
		},
		Refused: func(c smtpserver.ConnInfo, command string, from, to mail.Address, r smtp.Reply) {
			emit(event.Refused{Listener: listener, Client: c.Client.Addr(), Command: command, From: from.String(),
				To: to.String(), Code: r.Code, Status: r.Status, Text: r.Text()})
		},
		LoggedIn: func(c smtpserver.ConnInfo, user string, ok bool) {
			if in := i.now(); !ok && in.cfg.Proof != nil && in.cfg.Proof(user) == "" {
				user = "" // nobody's name: it may be a password in the wrong place
			}
			emit(event.LoggedIn{Listener: listener, Client: c.Client.Addr(), User: smtp.Printable(user, 200), OK: ok})
		},
		Panicked: func(_ smtpserver.ConnInfo, v any, stack []byte) {
			emit(event.Warned{What: "bug", Text: smtp.Printable(fmt.Sprintf("a session panicked: %v: %s", v, stack),
				4000), Hint: "the session was ended, the client tries again; please report this"})
		},
		AcceptFailed: func(err error, wait time.Duration) {
			emit(event.Warned{What: "accept", Text: err.Error(),
				Hint: "no connection can be taken for " + wait.String() + "; raise the limit of open files or " +
					"lower limits.connections"})
		},
	}
}
