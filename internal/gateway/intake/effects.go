package intake

import (
	"slices"

	"postern/internal/event"
	"postern/internal/gateway/copymark"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// What rules do with a message (policy/rules/effects.go) becomes part of what is stored of it:
//
//	reject     of all recipients: 550 to the final dot, and nothing is stored. Of some: it is too late to tell the client
//	           which, so the message is taken, and the rejected delivery is born held with a deadline of now; the
//	           dispatcher fails it with its notice in one transaction. A client that asked for no notice gets none.
//	hold       the delivery is born held, until the end of the hold (queue/quarantine.go)
//	redirect   its next hop is the route
//	bcc        one more delivery for each address that is no recipient anyway, once a message. Who gets it is told
//	           nobody: no notice of it goes to the sender. It is judged with what it is a copy of (View.Copies). Rules do
//	           nothing with a copy, so none leads to another here. It is marked, and where it comes back those who have
//	           one get no other (copymark); what lost its marks on the way ends by the number of hops.
//	add-header the fields stand in the record and go out above the stored header, above our Received line too. A DKIM
//	           signature holds, unless its signer signed the absence of the very field. Rules never see them.
//
// The decision is made at the final dot for all rules, not at RCPT for some, so that the order of the file holds
// between rules that look at the content and rules that do not.

// refusedByRules answers a message whose every recipient is rejected.
func (m *incoming) refusedByRules(judged []inforce.Judged) *smtp.Reply {
	var first *policy.Effect
	for i := range judged {
		e := judged[i].Effects.Done(policy.EffectReject)
		if e == nil {
			return nil
		}
		if first == nil {
			first = e
		}
	}
	if first == nil {
		return nil
	}
	for i := range judged {
		judged[i].Effects = slices.DeleteFunc(slices.Clone(judged[i].Effects), func(e policy.Effect) bool {
			return e.Kind != policy.EffectReject
		})
	}
	m.message.ID = "" // nobody will find it
	m.tellEffects(judged)
	return smtp.NewReply(550, "5.7.1", first.Text+" (rule "+first.Rule+")")
}

// comeBack notes in what was judged whose copy the message is, so that they get no other.
func (m *incoming) comeBack(judged []inforce.Judged) {
	if m.header.Count(copymark.Name) == 0 {
		return
	}
	back := func(text string) bool {
		a, err := mail.ParseAddress(text)
		return err == nil && m.s.in.cfg.Marks.Has(m.header, a)
	}
	for i := range judged {
		effects := slices.Clone(judged[i].Effects)
		for k := range effects {
			if e := &effects[k]; e.Kind == policy.EffectBCC {
				e.Back = slices.DeleteFunc(slices.Clone(e.To), func(to string) bool { return !back(to) })
				e.To = slices.DeleteFunc(slices.Clone(e.To), back)
			}
		}
		judged[i].Effects = effects
	}
}

// copies makes the deliveries that rules add.
func (m *incoming) copies(view *inforce.View, judged []inforce.Judged) (out []queue.NewDelivery) {
	known := map[string]bool{}
	for _, r := range m.s.recipients {
		known[r.Address.Folded()] = true
	}
	var to []mail.Address
	var by []string
	for i := range judged {
		for _, e := range judged[i].Effects {
			if e.Kind != policy.EffectBCC || e.Test {
				continue
			}
			for _, text := range e.To {
				a, err := mail.ParseAddress(text)
				if key := a.Folded(); err == nil && !known[key] {
					known[key] = true
					to, by = append(to, a), append(by, e.Rule)
				}
			}
		}
	}
	if len(to) == 0 {
		return nil
	}
	marks := m.s.in.cfg.Marks.Fields(m.header, to)
	for i, j := range view.Copies(&m.message, m.header, m.look.Look, to, judged) {
		j.Effects = policy.Effects{{Rule: by[i], Kind: policy.EffectCopy, Fields: marks}}
		out = append(out, m.delivery(view, mail.Recipient{Address: to[i], Notify: mail.NotifyNever}, &j))
	}
	return out
}

// mostTold bounds the events of one message; its records have all.
const mostTold = 100

// tellEffects emits what rules did, or would have.
func (m *incoming) tellEffects(judged []inforce.Judged) {
	told := 0
	for i := range judged {
		for _, e := range judged[i].Effects {
			if e.Later() {
				continue
			}
			if told++; told > mostTold {
				return
			}
			m.s.in.cfg.Sink.Emit(event.RuleActed{Rule: e.Rule, Effect: string(e.Kind), Text: e.String(), Test: e.Test,
				Message: string(m.message.ID), From: m.message.Envelope.From, To: m.s.recipients[i].Address})
		}
	}
}
