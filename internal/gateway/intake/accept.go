package intake

import (
	"context"
	"slices"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// accept evaluates the rules, stores the message with its deliveries and answers for it. 250 is said only after the
// store has made all of it durable.
func (m *incoming) accept(ctx context.Context) *smtp.Reply {
	in := m.s.in
	m.message.MessageID = m.header.MessageID()
	m.message.Size = m.draft.Size()
	m.message.HeaderSize, m.message.HeaderUTF8 = m.scan.size, m.scan.eightBit
	view := in.cfg.InForce()
	if err := view.Err; err != nil {
		in.cfg.Sink.Emit(event.Warned{What: "rules", Text: err.Error(), Hint: "mail is answered with 451 until the rules can be read"})
		return reply(451, "4.3.0", "the message cannot be judged now, try again later")
	}
	m.message.RulesRevision, m.message.Judged = view.Revision, view.Number
	sub := &queue.Submission{Message: m.message, Body: m.draft, Deliveries: m.deliveries(view)}
	if err := in.cfg.Store.Accept(ctx, sub); err != nil {
		return in.storeFailed(err)
	}
	m.announce(sub)
	return reply(250, "2.0.0", "Ok: queued as "+string(m.message.ID))
}

// deliveries makes one delivery for each recipient, with what rules and configuration demand of its channel.
func (m *incoming) deliveries(view *inforce.View) []queue.NewDelivery {
	facts := rules.Facts{
		From: m.message.Envelope.From, Client: m.message.Inbound.Client, Header: m.header, Size: m.message.Size,
		Now: m.message.AcceptedAt,
	}
	for _, r := range m.s.recipients {
		facts.Recipients = append(facts.Recipients, r.Address)
	}
	judged := view.Judge(&facts)
	out := make([]queue.NewDelivery, len(m.s.recipients))
	for i, r := range m.s.recipients {
		out[i] = m.delivery(view, r, &judged[i])
	}
	return out
}

func (m *incoming) delivery(view *inforce.View, r mail.Recipient, o *inforce.Judged) queue.NewDelivery {
	cfg := &m.s.in.cfg
	now := m.message.AcceptedAt
	d := queue.Delivery{
		Recipient: r, Requirement: o.Requirement, Demands: o.Demands, Rules: o.Rules, Matched: o.Matched, Tested: o.Tested,
		AcceptedAt: now, ExpiresAt: now.Add(cfg.Lifetime), Due: now,
	}
	if o.Window > 0 {
		d.ExpiresAt = now.Add(o.Window)
	}
	d.Noticed = cfg.DelayNotice < 0 || m.message.Envelope.From.IsNull() || !r.Notify.Wants(mail.NotifyDelay)
	d.Deadline = d.ExpiresAt
	if notice := now.Add(cfg.DelayNotice); !d.Noticed && notice.Before(d.ExpiresAt) {
		d.Deadline = notice
	}
	return queue.NewDelivery{Delivery: d, NextHop: view.Table.NextHop(r.Address.Domain, o.Requirement)}
}

// announce wakes the sites and emits what was accepted.
func (m *incoming) announce(sub *queue.Submission) {
	cfg := &m.s.in.cfg
	woken := map[queue.SiteKey]bool{}
	for i := range sub.Deliveries {
		d := &sub.Deliveries[i]
		if key := queue.NewSiteKey(d.NextHop, d.Requirement); !woken[key] {
			woken[key] = true
			cfg.Wake(&m.message, key, d.Due)
		}
	}
	leg := event.InWorld
	in := &m.message.Inbound
	if in.Relayed {
		leg = event.InOwn
	}
	cfg.Sink.Emit(event.Accepted{
		Leg: leg, Message: string(m.message.ID), MessageID: m.message.MessageID, From: m.message.Envelope.From,
		Recipients: len(sub.Deliveries), Size: m.message.Size, Client: in.Client, Helo: in.Helo, User: in.User, TLS: in.TLS,
		Took: time.Since(m.s.began),
	})
	if in.Relayed {
		for _, e := range cfg.Clients.heard(m.handIn(sub)) {
			cfg.Sink.Emit(e)
		}
	}
}

// handIn is the message as the memory of our own clients hears of it.
func (m *incoming) handIn(sub *queue.Submission) *handIn {
	in := &m.message.Inbound
	h := &handIn{at: m.message.AcceptedAt, client: in.Client, tls: in.TLS != nil, helo: in.Helo, listener: in.Listener, message: string(m.message.ID)}
	for i := range sub.Deliveries {
		d := &sub.Deliveries[i].Delivery
		for _, rule := range d.Rules {
			if d.Requirement.Channel >= policy.Encrypted && !slices.Contains(h.rules, rule) {
				h.rules = append(h.rules, rule)
			}
		}
	}
	return h
}
