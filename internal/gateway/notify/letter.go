package notify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/gateway/submit"
	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// write queues one message about everything that waits to be told; none when nothing does, or others told it. A gateway
// that cannot write takes nothing from those that can, not for a moment.
func (n *Notifier) write(ctx context.Context, now time.Time) (wrote bool, err error) {
	matters, more := n.take()
	if len(matters) == 0 {
		return false, nil
	}
	if err = n.cfg.InForce().Err; err != nil {
		n.giveBack(matters, more)
		return false, err
	}
	c, err := n.claim(ctx, matters, now)
	switch {
	case err != nil:
		n.giveBack(matters, more)
	case len(c.matters) == 0:
		n.giveBack(nil, more)
	default:
		if err = n.queue(ctx, c.matters, more, now); err != nil {
			n.withdraw(ctx, &c)
			n.giveBack(c.matters, more)
		}
		wrote = err == nil
	}
	return wrote, err
}

func (n *Notifier) queue(ctx context.Context, matters []Matter, more int, now time.Time) error {
	id := queue.NewID(now, n.cfg.Random())
	s, err := submit.Compose(ctx, n.cfg.InForce(), n.cfg.Store, &submit.Letter{
		ID: id, Kind: queue.Alert, To: n.cfg.To, Text: n.text(string(id), matters, more, now),
		At: now, Lifetime: n.cfg.Lifetime,
	})
	if err != nil {
		return err
	}
	if err := n.cfg.Store.Accept(ctx, s); err != nil {
		_ = s.Body.Discard() // the first error is the one to report
		return err
	}
	submit.Announce(s, n.cfg.Wake, n.cfg.Sink)
	return nil
}

// text writes the message, in ASCII with CRLF.
func (n *Notifier) text(id string, matters []Matter, more int, now time.Time) []byte {
	subject := matters[0].Subject
	if others := len(matters) - 1 + more; others > 0 {
		subject += fmt.Sprintf(" (and %d more)", others)
	}
	var b strings.Builder
	b.WriteString("From: Postern <" + n.cfg.From.String() + ">\r\n" +
		"To: <" + n.cfg.To.String() + ">\r\n" +
		"Subject: [postern] " + mail.EncodeText(smtp.PrintableASCII(subject, 200)) + "\r\n" +
		"Date: " + now.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\r\n" +
		"Message-ID: <" + id + "@" + n.cfg.Hostname.String() + ">\r\n" +
		"Auto-Submitted: auto-generated\r\n" +
		"MIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=us-ascii\r\n\r\n")
	fmt.Fprintf(&b, "The mail gateway %s reports:\r\n", n.cfg.Hostname)
	for _, m := range matters {
		b.WriteString("\r\n")
		lines := mail.Wrap("* ", "  ", smtp.PrintableASCII(m.Text, 2000), 72)
		if m.Hint != "" {
			lines = append(lines, mail.Wrap("  What to do: ", "    ", smtp.PrintableASCII(m.Hint, 2000), 72)...)
		}
		b.WriteString(strings.Join(lines, "\r\n") + "\r\n")
	}
	if more > 0 {
		fmt.Fprintf(&b, "\r\n* %d more matters came too fast to be told one by one; the log has them.\r\n", more)
	}
	b.WriteString("\r\nThe same matter is told at most once a day.\r\n")
	return []byte(b.String())
}
