package past

import (
	"time"

	"postern/internal/operator/hindsight"
	"postern/internal/policy"
	"postern/internal/queue"
)

// judgeArrival compares what rules about incoming mail demand of a message that others brought with what they would.
// What was refused then has no record.
func (p *previewer) judgeArrival(list []queue.Record) {
	m, now := &list[0].Message, time.Now()
	if !p.d.who.Scope.All {
		return
	}
	for i := range list {
		to := list[i].Recipient.Address
		was, would := p.q.Now.Arrival(m, to, now), p.q.Then.Arrival(m, to, now)
		if was.Key() == would.Key() {
			continue
		}
		become := hindsight.Arrived(&m.Inbound, would.Requirement, p.q.Now.Passed(m.Inbound.Rules), would.Reject)
		p.out.Changed[become.Outcome]++
		if len(p.out.Rows) >= previewRows {
			continue
		}
		t := p.d.who.Trace(&list[i])
		row := PreviewRow{Message: t.Message, AcceptedAt: t.AcceptedAt, From: t.From, To: t.To, State: t.State,
			Before: was.Channel.String(), After: would.Channel.String(), Reached: policy.Plaintext.String(),
			Rules: would.Rules, Outcome: become.Outcome, Reason: become.Reason, Text: become.Text}
		if m.Inbound.TLS != nil {
			row.Reached = policy.Encrypted.String()
		}
		p.out.Rows = append(p.out.Rows, row)
	}
}
