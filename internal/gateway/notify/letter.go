package notify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// write queues one message about everything that waits to be told; nothing when nothing does.
func (n *Notifier) write(ctx context.Context, now time.Time) error {
	matters, more := n.take()
	if len(matters) == 0 {
		return nil
	}
	err := n.queue(ctx, matters, more, now)
	if err != nil {
		n.giveBack(matters, more)
	}
	return err
}

func (n *Notifier) queue(ctx context.Context, matters []Matter, more int, now time.Time) error {
	id := queue.NewID(now, n.cfg.Random())
	head, body := n.text(string(id), matters, more, now)
	m := queue.Message{ID: id, Kind: queue.Alert, AcceptedAt: now, Size: int64(len(head) + len(body)), HeaderSize: len(head)}
	header := mail.ParseHeader([]byte(head))
	m.MessageID = header.MessageID()
	delivery, err := n.delivery(&m, header)
	if err != nil {
		return err
	}
	draft, err := n.cfg.Store.NewDraft(ctx)
	if err != nil {
		return err
	}
	_, err = draft.Write([]byte(head + body))
	if err == nil {
		err = n.cfg.Store.Accept(ctx, &queue.Submission{Message: m, Deliveries: []queue.NewDelivery{delivery}, Body: draft})
	}
	if err != nil {
		_ = draft.Discard() // the first error is the one to report
		return err
	}
	n.cfg.Wake(&m, queue.NewSiteKey(delivery.NextHop, delivery.Requirement), now)
	n.cfg.Sink.Emit(event.NoticeQueued{Message: string(id), Kind: "alert", To: n.cfg.To})
	return nil
}

// delivery gives the message the protection that its way demands: the configuration's for a domain of ours, and the rules
// in force.
func (n *Notifier) delivery(m *queue.Message, header mail.Header) (queue.NewDelivery, error) {
	view := n.cfg.InForce()
	if view.Err != nil {
		return queue.NewDelivery{}, view.Err
	}
	m.RulesRevision, m.Judged = view.Revision, view.Number
	judged := view.Judge(&rules.Facts{Recipients: []mail.Address{n.cfg.To}, Header: header, Size: m.Size, Now: m.AcceptedAt})[0]
	window := n.cfg.Lifetime
	if judged.Window > 0 {
		window = min(window, judged.Window)
	}
	expires := m.AcceptedAt.Add(window)
	return queue.NewDelivery{
		NextHop: view.Table.NextHop(n.cfg.To.Domain, judged.Requirement),
		Delivery: queue.Delivery{
			Recipient: mail.Recipient{Address: n.cfg.To, Notify: mail.NotifyNever}, Requirement: judged.Requirement,
			Demands: judged.Demands, Rules: judged.Rules, Matched: judged.Matched, Tested: judged.Tested, AcceptedAt: m.AcceptedAt, ExpiresAt: expires, Due: m.AcceptedAt,
			Deadline: expires, Noticed: true,
		},
	}, nil
}

// text writes the message: its header section with the empty line after it, and its body. Both are ASCII with CRLF.
func (n *Notifier) text(id string, matters []Matter, more int, now time.Time) (head, body string) {
	subject := matters[0].Subject
	if others := len(matters) - 1 + more; others > 0 {
		subject += fmt.Sprintf(" (and %d more)", others)
	}
	head = "From: Postern <" + n.cfg.From.String() + ">\r\n" +
		"To: <" + n.cfg.To.String() + ">\r\n" +
		"Subject: [postern] " + ascii(subject, 200) + "\r\n" +
		"Date: " + now.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\r\n" +
		"Message-ID: <" + id + "@" + n.cfg.Hostname.String() + ">\r\n" +
		"Auto-Submitted: auto-generated\r\n" +
		"MIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
	var b strings.Builder
	fmt.Fprintf(&b, "The mail gateway %s reports:\r\n", n.cfg.Hostname)
	for _, m := range matters {
		b.WriteString("\r\n")
		wrap(&b, "* ", "  ", m.Text)
		if m.Hint != "" {
			wrap(&b, "  What to do: ", "    ", m.Hint)
		}
	}
	if more > 0 {
		fmt.Fprintf(&b, "\r\n* %d more matters came too fast to be told one by one; the log has them.\r\n", more)
	}
	b.WriteString("\r\nThe same matter is told at most once a day.\r\n")
	return head, b.String()
}

// ascii makes one harmless line of ASCII.
func ascii(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, smtp.Printable(s, most))
}

// wrap writes a text in lines of 72 columns where its words allow it.
func wrap(b *strings.Builder, first, next, text string) {
	line, empty := first, true
	for _, word := range strings.Fields(ascii(text, 2000)) {
		word = word[:min(len(word), 500)] // a line of mail has an end (RFC 5321 §4.5.3.1.6)
		if !empty && len(line)+1+len(word) > 72 {
			b.WriteString(line + "\r\n")
			line, empty = next, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(line + "\r\n")
}
