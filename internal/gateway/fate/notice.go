package fate

import (
	"context"
	"io"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/submit"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Bounds of what a notice returns of the original.
const (
	maxReturnedHeader = 64 << 10
	maxReturnedFull   = 256 << 10
)

// Notices builds what the senders of the fates' message are owed: at most one message for failures and one for each
// other action, under the protection the original had.
func (d *Decider) Notices(ctx context.Context, fates []Fate, now time.Time) ([]*queue.Submission, error) {
	byAction := map[dsn.Action][]*Fate{}
	for i := range fates {
		if n := fates[i].Notice; n != nil {
			byAction[n.Action] = append(byAction[n.Action], &fates[i])
		}
	}
	var out []*queue.Submission
	for _, action := range []dsn.Action{dsn.Failed, dsn.Delayed, dsn.Delivered, dsn.Relayed} {
		for chunk := byAction[action]; len(chunk) > 0; {
			n := min(len(chunk), dsn.MaxRecipients)
			s, err := d.notice(ctx, action, chunk[:n], now)
			if err != nil {
				Discard(out)
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

// Discard throws away the bodies of notices that are not stored.
func Discard(drafts []*queue.Submission) {
	for _, s := range drafts {
		_ = s.Body.Discard() // the sweep of orphans at start takes what stays
	}
}

// notice builds one notice and stores its body as a draft, under the protection of what it speaks of (submit); nil when
// it cannot be addressed.
func (d *Decider) notice(ctx context.Context, action dsn.Action, fates []*Fate,
	now time.Time) (*queue.Submission, error) {
	w := fates[0].Work
	id := queue.NewID(now, d.cfg.Random())
	forced := strongest(fates) > policy.Plaintext || w.Message.Envelope.RequireTLS // headers only (RFC 8689 §5)
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
		report.Recipients = append(report.Recipients, *f.Notice)
	}
	text, err := report.Build()
	if err != nil {
		d.cfg.Sink.Emit(event.Warned{What: "notice", Text: err.Error(),
			Hint: "no notice can be written to the sender of message " + string(w.Message.ID)})
		return nil, nil
	}
	letter := submit.Letter{
		ID: id, Kind: queue.DSN, To: report.To, Text: text, UTF8: report.UTF8, At: now, Lifetime: d.cfg.Lifetime,
		RequireTLS: w.Message.Envelope.RequireTLS,
	}
	if action == dsn.Delayed {
		letter.Kind = queue.Delay
	}
	for _, f := range fates {
		letter.About = append(letter.About, f.Work)
	}
	s, err := submit.Compose(ctx, d.cfg.InForce(), d.cfg.Mail, &letter)
	if err == nil {
		d.limitBackscatter(&s.Deliveries[0], &w.Message, now)
	}
	return s, err
}

// strongest is the highest level any of the fates' deliveries demanded.
func strongest(fates []*Fate) (l policy.Level) {
	for _, f := range fates {
		l = max(l, f.Work.Requirement.Channel)
	}
	return l
}

// original reads the original's header section, or all of it. What cannot be read is left out.
func (d *Decider) original(ctx context.Context, m *queue.Message, full bool) []byte {
	body, err := d.cfg.Mail.Open(ctx, m.ID)
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
