package intake

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// accept evaluates the rules, stores the message with its deliveries and answers for it. 250 is said only after the
// store has made all of it durable.
func (m *incoming) accept(ctx context.Context) *smtp.Reply {
	in := m.s.in
	m.message.MessageID = m.header.MessageID()
	m.message.Size = m.draft.Size()
	m.message.Waives = m.header.TLSRequiredNo() && !m.message.Envelope.RequireTLS // RFC 8689 §4.1
	m.message.HeaderSize, m.message.Stamped, m.message.HeaderUTF8 = m.scan.size, m.scan.stamped, m.scan.eightBit
	end, err := in.cfg.Others.Begin(ctx)
	if err != nil { // told where it began
		return notNow()
	}
	defer end()
	view := in.cfg.InForce()
	if no := m.s.admitAgain(ctx, view); no != nil {
		return no
	}
	m.message.Inbound.Rules, m.message.Inbound.Trials = m.s.arrival.rules, m.s.arrival.trials
	judged, err := m.judge(view)
	if err != nil {
		in.cfg.Sink.Emit(event.Warned{What: "rules", Text: err.Error(),
			Hint: "mail is answered with 451 until the rules can be read"})
		return smtp.NewReply(451, "4.3.0", "the message cannot be judged now, try again later")
	}
	if no := m.refusedByRules(judged); no != nil {
		return no
	}
	m.comeBack(judged)
	sub := &queue.Submission{Body: m.draft, Deliveries: m.deliveries(view, judged)}
	sub.Message = m.message
	if err := in.cfg.Store.Accept(ctx, sub); err != nil {
		return in.storeFailed(err)
	}
	m.announce(sub)
	m.tellEffects(judged)
	return smtp.NewReply(250, "2.0.0", "Ok: queued as "+string(m.message.ID))
}

// judge says what rules and configuration make of the message, recipient by recipient.
func (m *incoming) judge(view *inforce.View) ([]inforce.Judged, error) {
	return view.JudgeContent(&m.message, m.header, m.look.Look, m.s.to())
}

// deliveries makes one delivery for each recipient, with what is demanded of its channel and what rules do with it, and
// one for each copy.
func (m *incoming) deliveries(view *inforce.View, judged []inforce.Judged) []queue.NewDelivery {
	out := make([]queue.NewDelivery, len(judged))
	for i, r := range m.s.recipients {
		out[i] = m.delivery(view, r, &judged[i])
		out[i].Affect()
	}
	return append(out, m.copies(view, judged)...)
}

func (m *incoming) delivery(view *inforce.View, r mail.Recipient, j *inforce.Judged) queue.NewDelivery {
	cfg, now := &m.s.in.cfg, m.message.AcceptedAt
	d := view.Delivery(r, j, now, now.Add(cmp.Or(j.Window, cfg.Lifetime)))
	d.Noticed = cfg.DelayNotice < 0 || m.message.Envelope.From.IsNull() || !r.Notify.Wants(mail.NotifyDelay)
	if notice := now.Add(cfg.DelayNotice); !d.Noticed && notice.Before(d.ExpiresAt) {
		d.Deadline = notice
	}
	return d
}

// announce wakes the sites and emits what was accepted.
func (m *incoming) announce(sub *queue.Submission) {
	cfg := &m.s.in.cfg
	woken := map[queue.SiteKey]bool{}
	for i := range sub.Deliveries {
		d := &sub.Deliveries[i]
		if key := queue.NewSiteKey(d.NextHop, d.Requirement); !woken[key] && d.State != queue.Held {
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
		Recipients: len(m.s.recipients), Size: m.message.Size, Client: in.Client, Helo: in.Helo, User: in.User,
		TLS: in.TLS, Took: time.Since(m.s.began),
	})
	m.announceTrials(sub)
	if in.Relayed {
		for _, e := range cfg.Clients.heard(m.handIn(sub)) {
			cfg.Sink.Emit(e)
		}
	}
}

// handIn is the message as the memory of our own clients hears of it.
func (m *incoming) handIn(sub *queue.Submission) *handIn {
	in := &m.message.Inbound
	h := &handIn{at: m.message.AcceptedAt, client: in.Client, tls: in.TLS != nil, helo: in.Helo, listener: in.Listener,
		message: string(m.message.ID)}
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
