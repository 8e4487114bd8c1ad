package smtpserver

import (
	"time"

	"postern/internal/mail"
	"postern/internal/smtp"
)

func (c *Conn) mail(arg []byte) {
	switch {
	case !c.greeted:
		c.wrong("MAIL", 503, "5.5.1", "say EHLO first")
		return
	case c.srv.cfg.Mode == Submission && c.info.User == "":
		c.wrong("MAIL", 530, "5.7.0", "log in first")
		return
	case c.tx.open:
		c.wrong("MAIL", 503, "5.5.1", "a transaction is open, say RSET first")
		return
	}
	m, no := smtp.ParseMail(arg, smtp.Offered{Extended: c.extended, Auth: c.authOffered(),
		RequireTLS: c.info.TLS != nil})
	if no != nil {
		c.wrong("MAIL", no.Code, no.Status, no.Text)
		return
	}
	c.reverify()
	c.tx.from, c.tx.utf8 = m.Envelope.From, m.Envelope.UTF8
	if m.Size > c.srv.cfg.Limits.MessageSize {
		c.deny("MAIL", c.srv.tooBig(), nil)
		c.tx = transaction{}
		return
	}
	if !c.answer("MAIL", c.session.Mail(c.ctx, m.Envelope, m.Size), nil) {
		c.session.Reset()
		c.tx = transaction{}
		return
	}
	c.tx.open, c.tx.began, c.tx.size = true, time.Now(), m.Size
	c.tx.memory.of = c.srv.cfg.Memory
	c.spareTLS()
}

func (c *Conn) rcpt(arg []byte) {
	if !c.tx.open {
		c.wrong("RCPT", 503, "5.5.1", "say MAIL first")
		return
	}
	r, no := smtp.ParseRcpt(arg, smtp.Offered{Extended: c.extended, UTF8: c.tx.utf8})
	if no != nil {
		c.wrong("RCPT", no.Code, no.Status, no.Text)
		return
	}
	if c.tx.recipients >= c.srv.cfg.Limits.Recipients { // RFC 5321 §4.5.3.1.10
		c.tooMany(&r.Address)
		return
	}
	c.tx.weight += recipientWeight + 2*len(arg)
	if !c.tx.memory.reach(c.tx.weight - freeRecipients) {
		c.deny("RCPT", &smtp.Reply{Code: 452, Status: "4.5.3", Lines: []string{"no memory for more recipients now"}},
			&r.Address)
		return
	}
	c.reverify()
	if c.answer("RCPT", c.session.Rcpt(c.ctx, r), &r.Address) {
		c.tx.recipients++
	}
}

// What the recipients of a transaction hold in memory: each about recipientWeight and what it was written with, twice.
// freeRecipients is what every transaction has, whatever others hold.
const (
	recipientWeight = 384
	freeRecipients  = 4 << 10
)

// tooMany refuses a recipient over the limit. There may be any number of them, so the event is the first one's alone.
func (c *Conn) tooMany(to *mail.Address) {
	reply := smtp.Reply{Code: 452, Status: "4.5.3", Lines: []string{"too many recipients"}}
	c.wire.send(&reply)
	if !c.tx.full {
		c.refusedEvent("RCPT", reply, to)
	}
	c.tx.full = true
}

// readyForContent checks the order of commands before DATA or BDAT.
func (c *Conn) readyForContent(command string) bool {
	switch {
	case !c.tx.open:
		c.wrong(command, 503, "5.5.1", "say MAIL and RCPT first")
	case c.tx.recipients == 0:
		c.wrong(command, 554, "5.5.1", "no valid recipients")
	case c.tx.size > largeContent && c.srv.cfg.Memory.Tight():
		c.deny(command, &smtp.Reply{Code: 452, Status: "4.3.1",
			Lines: []string{"no memory for a large message now, try again later"}}, nil)
	default:
		return true
	}
	return false
}

// largeContent is the declared size above which a message is not begun while memory is tight.
const largeContent = 128 << 10

func (c *Conn) data(arg []byte) {
	if len(arg) > 0 {
		c.wrong("DATA", 501, "5.5.4", "DATA has no parameters")
		return
	}
	if !c.readyForContent("DATA") {
		return
	}
	c.wire.say(354, "", "end with CRLF.CRLF")
	c.content.begin(c, false)
	c.transfer()
}

// transfer lets the Session read the content, then answers for the message and ends the transaction.
func (c *Conn) transfer() {
	c.wire.enlarge()
	reply := c.session.Data(c.ctx, &c.content)
	c.content.readAway()
	c.wire.shrink()
	c.conclude(reply)
	c.discard = c.content.chunked && !c.content.last
	c.endTransaction()
	c.content = Content{}
}

// conclude answers for the message. What the engine saw goes before what the Session says.
func (c *Conn) conclude(reply *smtp.Reply) {
	b := &c.content
	switch {
	case b.lost != nil:
		c.contentLost(b.lost)
		return
	case b.refusal() != nil:
		reply = b.refusal()
	case (reply == nil || reply.Positive()) && !b.whole: // a broken Session must not lose mail
		reply = &smtp.Reply{Code: 451, Status: "4.3.0", Lines: []string{"the message was not read to its end"}}
	}
	if c.answer(".", reply, nil) {
		c.messages++
		c.idle, c.bad, c.refused = 0, 0, 0
	}
	if b.flooded {
		c.stop("content far over the limit")
	}
}

// contentLost is for content that did not come to its end.
func (c *Conn) contentLost(err error) {
	if err == errAbandoned { // by RSET or the like between two chunks: that command is answered, not the message
		return
	}
	c.refusedEvent(".", smtp.Reply{Code: 421, Status: "4.4.2", Lines: []string{"the content did not come to its end"}},
		nil)
	c.lineFailed(err)
}

// tooBig is the answer to a message over the limit (RFC 1870 §6.1, §6.3).
func (s *Server) tooBig() *smtp.Reply {
	return smtp.NewReply(552, "5.3.4", "the message is larger than this server takes")
}
