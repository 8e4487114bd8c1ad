// Package submit makes messages of the gateway itself ready for the queue: reports to senders about their mail, and
// letters to the administrator. They are mail like any other. What is in force judges them (inforce), and one that
// speaks of protected mail has the protection that mail had, so that a report never tells in the clear what was not to
// travel so.
//
// Compose writes the body and makes the one delivery; who asked stores it, alone (queue.Store.Accept) or in the
// transaction that it tells of (queue.Batch.New), and then calls Announce.
package submit

import (
	"bytes"
	"context"
	"slices"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Drafts is where bodies are written; queue.Store is one.
type Drafts interface {
	NewDraft(ctx context.Context) (queue.Draft, error)
}

// Letter is a message of ours that was written and not judged yet. Its sender is the null sender.
type Letter struct {
	ID   queue.ID
	Kind queue.Kind
	To   mail.Address
	// Text is the whole message: header section, empty line and body, with CRLF.
	Text []byte
	UTF8 bool // it needs SMTPUTF8
	// Waives sets aside what the recipient's domain publishes, never what a rule demands.
	Waives bool
	// RequireTLS has it travel as mail with REQUIRETLS does, as what it speaks of did (RFC 8689 §5).
	RequireTLS bool
	At         time.Time
	// Lifetime is how long it may wait; the window of a rule, or of what it speaks of, may be shorter.
	Lifetime time.Duration
	// About are the deliveries of one message that it speaks of; nil for none.
	About []*queue.Work
}

// Compose judges a letter by what is in force and writes its body as a draft, which is the caller's to store or
// discard.
func Compose(ctx context.Context, view *inforce.View, drafts Drafts, l *Letter) (*queue.Submission, error) {
	size := headerSize(l.Text)
	header := mail.ParseHeader(l.Text[:size])
	m := queue.Message{
		ID: l.ID, Kind: l.Kind, AcceptedAt: l.At, Size: int64(len(l.Text)), HeaderSize: size,
		MessageID: header.MessageID(),
		Envelope:  mail.Envelope{UTF8: l.UTF8, RequireTLS: l.RequireTLS}, EightBit: hasEightBit(l.Text),
		HeaderUTF8: hasEightBit(l.Text[:size]), Waives: l.Waives,
	}
	if m.EightBit {
		m.Envelope.Body = mail.Body8BitMIME
	}
	if len(l.About) > 0 {
		m.About = l.About[0].Message.ID
	}
	delivery, err := l.delivery(view, &m, header)
	if err != nil {
		return nil, err
	}
	draft, err := drafts.NewDraft(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := draft.Write(l.Text); err != nil {
		_ = draft.Discard() // the write's error is the one to report
		return nil, err
	}
	return &queue.Submission{Message: m, Deliveries: []queue.NewDelivery{delivery}, Body: draft}, nil
}

// delivery gives a letter the protection that its way demands, and that of what it speaks of: a forced message's report
// is forced, with public trust or the private trust configured for the recipient's domain, and the rules in force are
// joined as for any mail. What only the way to our own servers demands is no demand on a stranger's
// (inforce.View.Inherit). The name of the recipient's mail host is held against what the same rules remember of the
// recipient's domain, which the first report there begins; hosts named for it are proven.
func (l *Letter) delivery(view *inforce.View, m *queue.Message, header mail.Header) (queue.NewDelivery, error) {
	list, err := view.JudgeContent(m, header, l.look(view), []mail.Address{l.To})
	if err != nil {
		return queue.NewDelivery{}, err
	}
	j, window := &list[0], l.Lifetime
	j.Effects = nil // what rules do is done with mail of others
	var inherited [][]policy.Demand
	for _, w := range l.About {
		if w.Requirement.Forced() {
			inherited = append(inherited, view.Sourced(&w.Delivery, w.Message.Kind))
			window = min(window, w.ExpiresAt.Sub(w.AcceptedAt))
		}
	}
	if len(l.About) > 0 {
		demands := view.Renew(view.Inherit(l.To.Domain, inherited...), l.To.Domain, j, m.AcceptedAt)
		j.Demands, j.Requirement, j.Rules = demands.Demands, demands.Requirement, demands.Rules()
	}
	if j.Window > 0 {
		window = min(window, j.Window)
	}
	d := view.Delivery(mail.Recipient{Address: l.To, Notify: mail.NotifyNever}, j, m.AcceptedAt,
		m.AcceptedAt.Add(window))
	d.Noticed = true
	return d, nil
}

// look is what rules ask of the content of a letter.
func (l *Letter) look(view *inforce.View) *inforce.Look {
	out := view.Look()
	_, _ = out.Write(l.Text) // it never fails
	return out
}

// Announce tells of a letter that was stored: whoever empties the queue, unless it is held, and the sink.
func Announce(s *queue.Submission, wake func(m *queue.Message, site queue.SiteKey, due time.Time), sink event.Sink) {
	d := &s.Deliveries[0]
	if d.State != queue.Held {
		wake(&s.Message, queue.NewSiteKey(d.NextHop, d.Requirement), d.Due)
	}
	sink.Emit(event.NoticeQueued{
		Message: string(s.Message.ID), About: string(s.Message.About), Kind: kindWord(s.Message.Kind),
		To: d.Recipient.Address, Held: d.State == queue.Held,
	})
}

func kindWord(k queue.Kind) string {
	switch k {
	case queue.Delay:
		return "delay-notice"
	case queue.Alert:
		return "alert"
	case queue.Report:
		return "tls-report"
	}
	return "dsn"
}

// headerSize is the length of the header section, its ending empty line included.
func headerSize(text []byte) int {
	if i := bytes.Index(text, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return len(text)
}

func hasEightBit(text []byte) bool {
	return slices.ContainsFunc(text, func(c byte) bool { return c >= 0x80 })
}
