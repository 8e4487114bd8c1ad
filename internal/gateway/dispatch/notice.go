package dispatch

import (
	"bytes"
	"context"
	"io"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// Bounds of what a notice returns of the original.
const (
	maxReturnedHeader = 64 << 10
	maxReturnedFull   = 256 << 10
)

// notices builds what the senders of the fates' message are owed: at most one message for failures and one for each
// other action, under the protection the original had.
func (d *Dispatcher) notices(ctx context.Context, fates []fate, now time.Time) ([]*queue.Submission, error) {
	byAction := map[dsn.Action][]*fate{}
	for i := range fates {
		if n := fates[i].notice; n != nil {
			byAction[n.Action] = append(byAction[n.Action], &fates[i])
		}
	}
	var out []*queue.Submission
	for _, action := range []dsn.Action{dsn.Failed, dsn.Delayed, dsn.Delivered, dsn.Relayed} {
		for chunk := byAction[action]; len(chunk) > 0; {
			n := min(len(chunk), dsn.MaxRecipients)
			s, err := d.notice(ctx, action, chunk[:n], now)
			if err != nil {
				discard(out)
				return nil, err
			}
			if s != nil {
				out = append(out, s)
			}
			chunk = chunk[n:]
		}
	}
	return out, nil
}

func discard(drafts []*queue.Submission) {
	for _, s := range drafts {
		_ = s.Body.Discard() // the sweep of orphans at start takes what stays
	}
}

// notice builds one notice and stores its body as a draft; nil when it cannot be addressed.
func (d *Dispatcher) notice(ctx context.Context, action dsn.Action, fates []*fate, now time.Time) (*queue.Submission, error) {
	w := fates[0].work
	id := queue.NewID(now, d.cfg.Random())
	forced := strongest(fates) > policy.Plaintext
	report := dsn.Report{
		ID: string(id), From: d.cfg.Postmaster, To: w.Message.Envelope.From, ReportingMTA: d.cfg.Hostname,
		Now: now, ArrivedAt: w.AcceptedAt, EnvID: w.Message.Envelope.EnvID, About: string(w.Message.ID),
		OriginalMessageID: w.Message.MessageID, UTF8: w.Message.Envelope.UTF8,
		EightBit: w.Message.Envelope.Body == mail.Body8BitMIME,
	}
	report.OriginalFull = !forced && action == dsn.Failed && w.Message.Envelope.Ret == mail.ReturnFull &&
		w.Message.Size <= maxReturnedFull
	report.Original = d.original(ctx, &w.Message, report.OriginalFull)
	if subjects := mail.ParseHeader(report.Original).All("Subject"); len(subjects) > 0 {
		report.Subject = subjects[0].Text().String()
	}
	d.explainTaint(ctx, fates)
	for _, f := range fates {
		report.Recipients = append(report.Recipients, *f.notice)
	}
	text, err := report.Build()
	if err != nil {
		d.warn("notice", err, "no notice can be written to the sender of message "+string(w.Message.ID))
		return nil, nil
	}
	return d.submit(ctx, id, action, &report, text, fates, now)
}

// strongest is the highest level any of the fates' deliveries demanded.
func strongest(fates []*fate) (l policy.Level) {
	for _, f := range fates {
		l = max(l, f.work.Requirement.Channel)
	}
	return l
}

// original reads the original's header section, or all of it. What cannot be read is left out.
func (d *Dispatcher) original(ctx context.Context, m *queue.Message, full bool) []byte {
	body, err := d.cfg.Store.Open(ctx, m.ID)
	if err != nil {
		return nil
	}
	defer body.Close()
	limit := int64(min(m.HeaderSize, maxReturnedHeader))
	if full {
		limit = m.Size
	}
	text, err := io.ReadAll(io.LimitReader(body, limit))
	if err != nil {
		return nil
	}
	return text
}

// submit makes the notice a message of our own.
func (d *Dispatcher) submit(ctx context.Context, id queue.ID, action dsn.Action, report *dsn.Report, text []byte,
	fates []*fate, now time.Time) (*queue.Submission, error) {
	draft, err := d.cfg.Store.NewDraft(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := draft.Write(text); err != nil {
		_ = draft.Discard() // the write's error is the one to report
		return nil, err
	}
	header := mail.ParseHeader(text)
	m := queue.Message{
		ID: id, Kind: queue.DSN, AcceptedAt: now, About: fates[0].work.Message.ID, Size: int64(len(text)),
		HeaderSize: headerSize(text), MessageID: header.MessageID(), Envelope: mail.Envelope{UTF8: report.UTF8},
		EightBit: hasEightBit(text), HeaderUTF8: hasEightBit(text[:headerSize(text)]),
	}
	if action == dsn.Delayed {
		m.Kind = queue.Delay
	}
	if m.EightBit {
		m.Envelope.Body = mail.Body8BitMIME
	}
	delivery, err := d.noticeDelivery(&m, report.To, header, fates)
	if err != nil {
		_ = draft.Discard() // the rules' error is the one to report
		return nil, err
	}
	d.limitBackscatter(&delivery, &fates[0].work.Message, now)
	return &queue.Submission{Message: m, Deliveries: []queue.NewDelivery{delivery}, Body: draft}, nil
}

// noticeDelivery gives the notice the protection of what it speaks of: a forced message's notice is forced, with public
// trust or the private trust configured for the sender's domain, and the rules in force are joined as for any mail. What
// only the way to our own servers demands is no demand on a stranger's (inforce.View.Inherit). The name of the sender's mail host
// is held against what the same rules remember of the sender's domain, which the first notice there begins; hosts named for
// it are proven.
func (d *Dispatcher) noticeDelivery(m *queue.Message, to mail.Address, header mail.Header, fates []*fate) (queue.NewDelivery, error) {
	view := d.cfg.InForce()
	if view.Err != nil {
		return queue.NewDelivery{}, view.Err
	}
	m.RulesRevision, m.Judged = view.Revision, view.Number
	window := d.cfg.Lifetime
	var about [][]policy.Demand
	for _, f := range fates {
		if f.work.Requirement.Forced() {
			about = append(about, view.Sourced(&f.work.Delivery, f.work.Message.Kind))
			window = min(window, f.work.ExpiresAt.Sub(f.work.AcceptedAt))
		}
	}
	judged := view.Judge(&rules.Facts{Recipients: []mail.Address{to}, Header: header, Size: m.Size, Now: m.AcceptedAt})[0]
	demands := view.Renew(view.Inherit(to.Domain, about...), to.Domain, &judged, m.AcceptedAt)
	if judged.Window > 0 {
		window = min(window, judged.Window)
	}
	expires := m.AcceptedAt.Add(window)
	return queue.NewDelivery{
		NextHop: view.Table.NextHop(to.Domain, demands.Requirement),
		Delivery: queue.Delivery{
			Recipient: mail.Recipient{Address: to, Notify: mail.NotifyNever}, Requirement: demands.Requirement,
			Demands: demands.Demands, Rules: demands.Rules(), Matched: judged.Matched, Tested: judged.Tested,
			AcceptedAt: m.AcceptedAt, ExpiresAt: expires, Due: m.AcceptedAt, Deadline: expires, Noticed: true,
		},
	}, nil
}

// emitNotices lets the schedule know of notices that were stored, and emits them.
func (d *Dispatcher) emitNotices(notices []*queue.Submission) {
	for _, s := range notices {
		n := &s.Deliveries[0]
		if n.State != queue.Held {
			d.Wake(&s.Message, queue.NewSiteKey(n.NextHop, n.Requirement), n.Due)
		}
		kind := "dsn"
		if s.Message.Kind == queue.Delay {
			kind = "delay-notice"
		}
		d.cfg.Sink.Emit(event.NoticeQueued{
			Message: string(s.Message.ID), About: string(s.Message.About), Kind: kind, To: n.Recipient.Address,
			Held: n.State == queue.Held,
		})
	}
}

// headerSize is the length of the header section, its ending empty line included.
func headerSize(text []byte) int {
	if i := bytes.Index(text, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return len(text)
}

func hasEightBit(text []byte) bool {
	for _, c := range text {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
