package past

import (
	"time"

	"postern/internal/mail"
	"postern/internal/operator/hindsight"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// judgeArrival compares what rules about incoming mail demand of a message that others brought with what they would.
// What was refused then has no record. The record says over which TLS it came; of a client's certificate it says only
// whether one was shown, and which rules it satisfied.
func (p *previewer) judgeArrival(list []queue.Record) {
	m := &list[0].Message
	if m.Inbound.Relayed || !p.d.who.Scope.All || !p.now.Rules.HasInbound() && !p.then.Rules.HasInbound() {
		return
	}
	for i := range list {
		to := list[i].Recipient.Address
		if !p.now.Serves(to.Domain) {
			continue
		}
		a := rules.Arrival{From: m.Envelope.From, To: []mail.Address{to}, Client: m.Inbound.Client, Listener: m.Inbound.Listener, Now: time.Now()}
		before, after := enforced(p.now.Rules.Terms(&a)), enforced(p.then.Rules.Terms(&a))
		was, would := joined(before), joined(after)
		if was.Key() == would.Key() {
			continue
		}
		become := p.arrived(&m.Inbound, after, would)
		p.out.Changed[become.Outcome]++
		if len(p.out.Rows) < previewRows {
			t := p.d.who.Trace(&list[i])
			row := PreviewRow{Message: t.Message, AcceptedAt: t.AcceptedAt, From: t.From, To: t.To, State: t.State, Before: was.Channel.String(),
				After: would.Channel.String(), Reached: policy.Plaintext.String(), Outcome: become.Outcome, Reason: become.Reason, Text: become.Text}
			if m.Inbound.TLS != nil {
				row.Reached = policy.Encrypted.String()
			}
			for _, term := range after {
				row.Rules = append(row.Rules, term.Rule)
			}
			p.out.Rows = append(p.out.Rows, row)
		}
	}
}

func enforced(terms []rules.Term) (out []rules.Term) {
	for _, t := range terms {
		if !t.Test {
			out = append(out, t)
		}
	}
	return out
}

func joined(terms []rules.Term) policy.Requirement {
	var all []policy.Requirement
	for _, t := range terms {
		all = append(all, t.Requirement)
	}
	return policy.Combine(all...)
}

// arrived says what would have become of mail that came in so.
func (p *previewer) arrived(in *queue.Inbound, terms []rules.Term, would policy.Requirement) hindsight.Answer {
	e := policy.Evidence{TLS: in.TLS}
	open := ""
	if in.TLS != nil {
		e.TLSVersion = smtp.TLSVersion(in.TLS.Version)
		would, open = p.asKnown(in, would, &e)
	}
	short := policy.Verdict(would, e)
	switch {
	case len(short) == 0 && open != "":
		return hindsight.Answer{Outcome: hindsight.NotKnown, Text: open}
	case len(short) == 0:
		return hindsight.Answer{Outcome: hindsight.AsNow}
	}
	out := hindsight.Answer{Outcome: hindsight.WouldReturn, Reason: short[0].Reason, Text: short[0].Text}
	for _, t := range terms {
		if t.Refuse != rules.RefuseReject {
			out.Outcome = hindsight.WouldWait
		}
	}
	return out
}

// asKnown leaves out of a requirement what the record does not answer, and says what that is: the client's certificate,
// unless none was shown or the rules that it satisfied then asked the same.
func (p *previewer) asKnown(in *queue.Inbound, would policy.Requirement, e *policy.Evidence) (asked policy.Requirement, open string) {
	if would.Channel < policy.Authenticated {
		return would, ""
	}
	if in.TLS.Client != nil && !in.TLS.Client.Presented {
		e.Peers = map[string]policy.Proof{}
		for _, d := range would.Demands() {
			e.Peers[d.Key()] = policy.Proof{Shortfalls: []policy.Shortfall{{Reason: policy.CertUntrusted, Text: "the client presented no certificate"}}}
		}
		return would, ""
	}
	var met []policy.Requirement
	for i, list := 0, p.now.Rules.Rules(); i < len(list); i++ {
		for _, name := range in.Rules {
			if list[i].Name == name && list[i].Scope == rules.Inbound {
				met = append(met, list[i].Requirement())
			}
		}
	}
	floor := would.VersionFloor()
	asked = policy.Requirement{Channel: policy.Encrypted, MinTLS: floor, MinBits: would.MinBits, KeyExchange: would.KeyExchange}
	proof := would
	proof.MinTLS, proof.MinBits, proof.KeyExchange = 0, 0, policy.AnyExchange
	if known := policy.Combine(met...); known.AtLeast(proof) {
		return asked, ""
	}
	return asked, "the certificate that the client showed is not kept"
}
