package intake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/admission"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// What follows holds strangers to the rules about incoming mail. Those of our own side are none of their business.
//
// The rules in force at each MAIL and each RCPT count, and those in force when the message is accepted: what came in
// under other rules is judged once more, with all its recipients, before it is stored.

// arrival is what was found out about a stranger in the open transaction.
type arrival struct {
	judged bool // somebody asked
	number int64
	mixed  bool // under several numbers of what is in force
	rules  []string
	trials []queue.Trial
	last   judgement // also of transactions before
}

// judgement is kept, so that a thousand recipients do not examine a certificate a thousand times. It is not kept long,
// for certificates run out.
type judgement struct {
	key string
	at  time.Time
	admission.Judgement
}

const judgementKept = 10 * time.Second

// admit refuses a stranger that falls short of the rules about incoming mail in a view; to are the recipients in
// question, none at MAIL. Where rules cannot be read, accept will say so.
func (s *session) admit(ctx context.Context, view *inforce.View, to []mail.Address) *smtp.Reply {
	if view.Err != nil {
		return nil
	}
	a := &s.arrival
	a.mixed = a.mixed || a.judged && a.number != view.Number
	a.judged, a.number = true, view.Number
	if !view.Rules.HasInbound() {
		return nil
	}
	info := s.conn.Info()
	terms := view.Rules.Terms(&rules.Arrival{From: s.envelope.From, To: to, Client: info.Client.Addr(),
		Listener: info.Listener, Now: time.Now()})
	if len(terms) == 0 {
		return nil
	}
	j := s.judge(ctx, view, terms)
	if j.Refusal != nil {
		s.in.cfg.Sink.Emit(s.fellShort(j, to))
		reply := j.Refusal.Reply
		return &reply
	}
	for _, rule := range j.Rules {
		if !slices.Contains(a.rules, rule) {
			a.rules = append(a.rules, rule)
		}
	}
	for _, t := range j.Trials {
		if !slices.ContainsFunc(a.trials, func(old queue.Trial) bool { return old.Rule == t.Rule }) {
			a.trials = append(a.trials, queue.Trial{Rule: t.Rule, Reason: t.Shortfall.Reason,
				Text: smtp.Printable(t.Shortfall.Text, maxText)})
		}
	}
	return nil
}

// maxText bounds what is remembered of a certificate's fault.
const maxText = 500

// judge judges the session by what rules demand.
func (s *session) judge(ctx context.Context, view *inforce.View, terms []rules.Term) *admission.Judgement {
	key := fmt.Sprint(view.Number, s.envelope.From.Domain)
	for i := range terms {
		key += "\x00" + terms[i].Rule
	}
	kept, now := &s.arrival.last, time.Now()
	if kept.key != key || now.Sub(kept.at) > judgementKept {
		info := s.conn.Info()
		client := &admission.Client{From: s.envelope.From.Domain, Name: info.Client.Addr().String(), TLS: info.TLS,
			Chain: info.ClientChain}
		*kept = judgement{key, now, s.in.cfg.Admission.Judge(ctx, terms, client, s.conn.Flush)}
	}
	return &kept.Judgement
}

// admitAgain judges a message that came complete once more, where something else was in force before.
func (s *session) admitAgain(ctx context.Context, view *inforce.View) *smtp.Reply {
	a := &s.arrival
	if !a.judged || !a.mixed && a.number == view.Number {
		return nil
	}
	a.rules, a.trials = nil, nil
	return s.admit(ctx, view, s.to())
}

// fellShort is the event of a refusal.
func (s *session) fellShort(j *admission.Judgement, to []mail.Address) event.FellShort {
	info, f := s.conn.Info(), j.Refusal
	return event.FellShort{
		Listener: info.Listener, Client: info.Client.Addr(), Helo: info.Helo, From: s.envelope.From, To: to,
		Rules: f.Rules, Requires: j.Requirement.Channel, Reason: f.Shortfalls[0].Reason,
		Text: smtp.Printable(f.Shortfalls[0].Text, maxText), Later: f.Later,
		TLS: info.TLS, Names: j.Evidence.Presented,
	}
}

// announceTrials tells of a message that rules on trial would have refused.
func (m *incoming) announceTrials(sub *queue.Submission) {
	in := &m.message.Inbound
	if len(in.Trials) == 0 {
		return
	}
	e := event.FellShort{
		Listener: in.Listener, Client: in.Client, Helo: in.Helo, From: m.message.Envelope.From,
		Trial: true, Message: string(m.message.ID), Reason: in.Trials[0].Reason, Later: true,
		TLS: in.TLS, Names: m.s.arrival.last.Evidence.Presented,
	}
	var texts []string
	for _, t := range in.Trials {
		e.Rules, texts = append(e.Rules, t.Rule), append(texts, t.Text)
	}
	for i := range sub.Deliveries {
		e.To = append(e.To, sub.Deliveries[i].Recipient.Address)
	}
	e.Text = smtp.Printable(strings.Join(slices.Compact(texts), "; "), maxText)
	m.s.in.cfg.Sink.Emit(e)
}
