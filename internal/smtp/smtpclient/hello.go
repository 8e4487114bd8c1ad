package smtpclient

import (
	"context"
	"strconv"
	"strings"

	"postern/internal/smtp"
)

// Extensions is what the newest EHLO offered; the zero value offers nothing, as after HELO.
type Extensions struct {
	StartTLS, Pipelining, Chunking, EightBit, UTF8, DSN, Enhanced bool
	// RequireTLS says that REQUIRETLS is offered inside TLS; in the clear the offer says nothing (RFC 8689 §4.2.1).
	RequireTLS bool
	// Size says that SIZE is offered, MaxSize the largest message in octets, 0 for no fixed limit (RFC 1870 §4).
	Size    bool
	MaxSize int64
	// MaxRecipients is RCPTMAX of LIMITS (RFC 9422 §4.2), 0 when not told.
	MaxRecipients int
	// Masked says that a middlebox seems to rewrite the session: a keyword like XXXXXXXA or a greeting of stars.
	Masked bool
	// Raw is the lines after the first, escaped and bounded.
	Raw []string
}

// Greet reads the greeting. A reply other than 220 is returned together with an Error of kind Refused.
func (c *Conn) Greet(ctx context.Context) (smtp.Reply, error) {
	defer c.watch(ctx)()
	reply, err := c.readReply(ctx, PhaseGreeting, c.cfg.Timeouts.Greeting, true)
	if err != nil {
		return reply, err
	}
	c.masked = strings.Contains(reply.Text(), "********")
	if reply.Code != 220 {
		return reply, c.refused(PhaseGreeting, reply)
	}
	return reply, nil
}

// Hello says EHLO and keeps what it offers. A peer that answers 5xx outside TLS is asked with HELO; inside TLS never,
// because that would give up what the handshake was for.
func (c *Conn) Hello(ctx context.Context) error {
	defer c.watch(ctx)()
	c.ext = Extensions{Masked: c.masked}
	reply, err := c.command(ctx, PhaseHello, c.cfg.Timeouts.Hello, "EHLO ", c.cfg.Hello)
	if err != nil {
		return err
	}
	if reply.Code == 250 {
		c.ext = parseExtensions(reply.Lines).without(c.cfg.Without)
		c.ext.Masked = c.ext.Masked || c.masked
		c.ext.RequireTLS = c.ext.RequireTLS && c.tls != nil
		return nil
	}
	if reply.Permanent() && c.tls == nil {
		reply, err = c.command(ctx, PhaseHello, c.cfg.Timeouts.Hello, "HELO ", c.cfg.Hello)
		if err != nil {
			return err
		}
		if reply.Code == 250 {
			return nil
		}
	}
	return c.refused(PhaseHello, reply)
}

// parseExtensions reads the lines of an EHLO reply; the first is the peer's name. Keywords count in any case and with
// any parameters or blanks around them (RFC 5321 §4.1.1.1 and what peers send).
func parseExtensions(lines []string) Extensions {
	var ext Extensions
	for i, line := range lines {
		if i == 0 {
			continue
		}
		ext.Raw = append(ext.Raw, smtp.Printable(line, 200))
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		ext.add(strings.ToUpper(fields[0]), fields[1:])
	}
	return ext
}

func (ext *Extensions) add(keyword string, params []string) {
	switch keyword {
	case "STARTTLS":
		ext.StartTLS = true
	case "PIPELINING":
		ext.Pipelining = true
	case "CHUNKING":
		ext.Chunking = true
	case "8BITMIME":
		ext.EightBit = true
	case "SMTPUTF8":
		ext.UTF8 = true
	case "DSN":
		ext.DSN = true
	case "REQUIRETLS":
		ext.RequireTLS = true
	case "ENHANCEDSTATUSCODES":
		ext.Enhanced = true
	case "SIZE":
		ext.Size = true
		if len(params) > 0 {
			ext.MaxSize = parseLimit(params[0])
		}
	case "LIMITS":
		for _, p := range params {
			if name, value, _ := strings.Cut(p, "="); strings.EqualFold(name, "RCPTMAX") {
				ext.MaxRecipients = int(min(parseLimit(value), 1<<30))
			}
		}
	default:
		ext.Masked = ext.Masked || isMasked(keyword)
	}
}

// parseLimit reads a number; 0, "no limit", for what is none.
func parseLimit(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// isMasked recognises what a firewall's SMTP inspection leaves of a keyword: all X but perhaps the last letter.
func isMasked(keyword string) bool {
	n := len(keyword)
	return n >= 4 && strings.Trim(keyword[:n-1], "X") == ""
}
