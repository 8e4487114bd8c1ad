package smtpclient

import (
	"context"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// Asked is what a peer said when it was asked about a recipient.
type Asked struct {
	// Command is what Reply answers: "RCPT", or "MAIL" where the sender was refused and the recipient never named.
	Command string
	Reply   smtp.Reply
}

// Ask says MAIL and RCPT and no content: would the peer take mail from this sender for this recipient? The transaction
// is ended before the next one begins. Nothing but the two addresses is said, no extension is used but SMTPUTF8 where
// one of them needs it; where the peer does not offer that, or an address cannot stand in a command, the error is of
// Kind Unsupported and nothing was said. After a reply of 421, or an error of another kind, the connection is at its
// end.
func (c *Conn) Ask(ctx context.Context, from, to mail.Address) (Asked, error) {
	utf8 := !from.IsASCII() || !to.IsASCII()
	if utf8 && !c.ext.UTF8 || !isSendable(from) || !isSendable(to) || to.IsNull() {
		return Asked{}, &Error{Phase: PhaseRcpt, Kind: Unsupported}
	}
	defer c.watch(ctx)()
	if err := c.ready(ctx, PhaseMail); err != nil {
		return Asked{}, err
	}
	if c.open {
		if err := c.reset(ctx); err != nil {
			return Asked{}, err
		}
	}
	c.begun++
	tail := ">"
	if utf8 {
		tail = "> SMTPUTF8"
	}
	reply, err := c.said(ctx, PhaseMail, "MAIL FROM:<", from.String(), tail)
	if err != nil || !reply.Positive() {
		return Asked{"MAIL", reply}, err
	}
	c.open = true
	reply, err = c.said(ctx, PhaseRcpt, "RCPT TO:<", to.String(), ">")
	return Asked{"RCPT", reply}, err
}

// said is the reply to a command of a transaction, which is never 3xx.
func (c *Conn) said(ctx context.Context, phase Phase, line ...string) (smtp.Reply, error) {
	limit := c.cfg.Timeouts.Mail
	if phase == PhaseRcpt {
		limit = c.cfg.Timeouts.Rcpt
	}
	reply, err := c.command(ctx, phase, limit, line...)
	if err == nil && reply.Code/100 == 3 {
		return smtp.Reply{}, c.malformed(phase, []byte(reply.String()), errUnexpected)
	}
	return reply, err
}
