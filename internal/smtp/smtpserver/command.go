package smtpserver

import (
	"strconv"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// run does one command.
func (c *Conn) run(line []byte) {
	if !smtp.CleanLine(line) {
		c.wrong("", 500, "5.5.2", "a control character in a command")
		return
	}
	cmd := smtp.ParseCommand(line)
	c.discard = c.discard && cmd.Verb == smtp.VerbBDAT
	if c.needsTLS(cmd.Verb) {
		c.wrong(cmd.Verb.String(), 530, "5.7.0", "Must issue a STARTTLS command first")
		return
	}
	switch cmd.Verb {
	case smtp.VerbEHLO, smtp.VerbHELO:
		c.hello(cmd)
	case smtp.VerbSTARTTLS:
		c.startTLS(cmd.Arg)
	case smtp.VerbAUTH:
		c.auth(cmd.Arg)
	case smtp.VerbMAIL:
		c.mail(cmd.Arg)
	case smtp.VerbRCPT:
		c.rcpt(cmd.Arg)
	case smtp.VerbDATA:
		c.data(cmd.Arg)
	case smtp.VerbBDAT:
		c.bdat(cmd.Arg)
	case smtp.VerbForeign:
		c.wrong("", 554, "5.5.0", "this is a mail server")
		c.stop("another protocol")
	default:
		c.idleCommand(cmd)
	}
}

// needsTLS reports whether a command must wait for TLS (RFC 3207 §4).
func (c *Conn) needsTLS(v smtp.Verb) bool {
	if !c.srv.cfg.RequireTLS || c.info.TLS != nil {
		return false
	}
	switch v {
	case smtp.VerbEHLO, smtp.VerbHELO, smtp.VerbSTARTTLS, smtp.VerbNOOP, smtp.VerbRSET, smtp.VerbHELP, smtp.VerbQUIT,
		smtp.VerbUnknown, smtp.VerbForeign:
		return false
	}
	return true
}

// idleCommand does the commands that move nothing forward.
func (c *Conn) idleCommand(cmd smtp.Command) {
	switch cmd.Verb {
	case smtp.VerbQUIT:
		c.wire.say(221, "2.0.0", "bye")
		c.why = "quit"
		return
	case smtp.VerbRSET:
		c.endTransaction()
		c.wire.say(250, "2.0.0", "Ok")
	case smtp.VerbNOOP:
		c.wire.say(250, "2.0.0", "Ok")
	case smtp.VerbHELP:
		c.wire.say(214, "2.0.0", "see RFC 5321")
	case smtp.VerbVRFY: // RFC 5321 §3.5.3: the server does not say
		c.wire.say(252, "2.1.5", "send the mail and see")
	case smtp.VerbEXPN:
		c.wrong(cmd.Verb.String(), 502, "5.5.1", "not offered")
		return
	default:
		c.wrong("", 500, "5.5.1", "command not known")
		return
	}
	c.didNothing()
}

// didNothing counts a command that moves nothing forward.
func (c *Conn) didNothing() {
	if c.idle++; c.idle > c.srv.cfg.Limits.NoOps && c.why == "" {
		c.bye("4.7.0", "too many commands that do nothing", "too many idle commands")
	}
}

// wrong refuses a command that was not as the protocol wants it, and counts.
func (c *Conn) wrong(command string, code int, status, text string) {
	c.wire.say(code, status, text)
	c.refusedEvent(command, smtp.Reply{Code: code, Status: status, Lines: []string{text}}, nil)
	if c.bad++; c.bad > c.srv.cfg.Limits.BadCommands && c.why == "" {
		c.bye("4.7.0", "too many errors", "too many bad commands")
	}
}

// deny refuses a command for what it asks, without counting it as an error of the client.
func (c *Conn) deny(command string, r *smtp.Reply, to *mail.Address) {
	c.wire.send(r)
	c.refusedEvent(command, *r, to)
}

// answer sends a Session's reply, nil standing for the ordinary success, and reports success.
func (c *Conn) answer(command string, r *smtp.Reply, to *mail.Address) bool {
	if r == nil {
		status := "2.0.0"
		switch command {
		case "MAIL":
			status = "2.1.0"
		case "RCPT":
			status = "2.1.5"
		}
		c.wire.say(250, status, "Ok")
		return true
	}
	if r.Positive() {
		c.wire.send(r)
		return true
	}
	c.deny(command, r, to)
	if r.Code == 421 {
		c.stop("refused")
	}
	if r.Permanent() {
		c.refused++
	}
	if c.refused > c.srv.cfg.Limits.Refusals && c.why == "" {
		c.bye("4.7.0", "too many refused commands", "too many refusals")
	}
	return false
}

func (c *Conn) refusedEvent(command string, r smtp.Reply, to *mail.Address) {
	f := c.srv.cfg.Trace.Refused
	if f == nil {
		return
	}
	if to == nil {
		to = &mail.Address{}
	}
	f(c.Info(), command, c.tx.from, *to, r)
}

// hello does EHLO and HELO, which also end an open transaction (RFC 5321 §4.1.4).
func (c *Conn) hello(cmd smtp.Command) {
	read := smtp.ParseHello
	if own := c.srv.cfg.Own; own != nil && own(c.Info()) {
		read = smtp.OwnHello
	}
	name, no := read(cmd.Arg)
	if no != nil {
		c.wrong(cmd.Verb.String(), no.Code, no.Status, no.Text)
		return
	}
	c.endTransaction()
	c.info.Helo, c.greeted = name, true
	c.extended = cmd.Verb == smtp.VerbEHLO
	if c.extended {
		c.offer()
	} else {
		c.wire.say(250, "", c.srv.cfg.Hostname)
	}
	c.didNothing()
}

// offer writes the reply to EHLO.
func (c *Conn) offer() {
	b := append(c.wire.out, "250-"...)
	b = append(b, c.srv.cfg.Hostname...)
	b = append(b, "\r\n250-PIPELINING\r\n250-SIZE "...)
	b = strconv.AppendInt(b, c.srv.cfg.Limits.MessageSize, 10)
	if c.srv.tls != nil && c.info.TLS == nil {
		b = append(b, "\r\n250-STARTTLS"...)
	}
	if c.authOffered() {
		b = append(b, "\r\n250-AUTH PLAIN LOGIN"...)
	}
	if c.info.TLS != nil { // RFC 8689 §2: never in the clear
		b = append(b, "\r\n250-REQUIRETLS"...)
	}
	b = append(b, "\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n"...)
	c.wire.out = b
}

func (c *Conn) authOffered() bool { return c.srv.cfg.Auth && c.info.TLS != nil }

// endTransaction forgets what MAIL and RCPT said.
func (c *Conn) endTransaction() {
	if c.tx.open && c.session != nil {
		c.session.Reset()
	}
	c.tx.memory.release()
	c.tx = transaction{}
}
