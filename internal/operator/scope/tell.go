package scope

import (
	"slices"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/operator/trace"
	"postern/internal/queue"
)

// Ordered reports whether a delivery is one that the scope sent, or a notice to it about one: what rules demanded of it
// was demanded of the scope's own mail.
func (a *Asker) Ordered(r *queue.Record) bool {
	kind := r.Message.Kind
	return a.Scope.Covers(r.Message.Envelope.From.Domain) ||
		(kind == queue.DSN || kind == queue.Delay) && a.Scope.Covers(r.Recipient.Address.Domain)
}

// Elsewhere reports whether mail for a domain goes to servers of our own that are not the scope's.
func (a *Asker) Elsewhere(domain mail.Domain) bool {
	return !a.Scope.Covers(domain) && a.cfg.Rules.Now().Serves(domain)
}

// Told is a record as the principal may see it. The record itself stays as it is.
func (a *Asker) Told(r *queue.Record) *queue.Record {
	if a.Scope.All {
		return r
	}
	out := *r
	keep := func(a *attempt.Attempt) attempt.Attempt { return *a }
	if !a.Ordered(r) {
		out.Rules, out.Tested, out.Demands, out.Matched, out.Effects = nil, nil, nil, false, nil
		if in := &r.Message.Inbound; in.Relayed {
			out.Message.Inbound = queue.Inbound{Relayed: true, Protocol: in.Protocol, TLS: channelOf(in.TLS)}
		}
		if r.Requirement.Forced() {
			keep = withoutDemands
		}
	}
	if a.Elsewhere(r.Recipient.Address.Domain) {
		out.NextHop, keep = "", withoutHop
	}
	out.History = nil
	for i := range r.History {
		out.History = append(out.History, keep(&r.History[i]))
	}
	if r.SiteState.Last != nil { // it may have been made for mail of others
		last := withoutWords(keep(r.SiteState.Last))
		out.SiteState.Last = &last
	}
	if r.Wish != nil && r.Wish.By != a.Name {
		wish := *r.Wish
		wish.By = "an administrator"
		out.Wish = &wish
	}
	return &out
}

// Trace is the trace of a record as the principal may see it.
func (a *Asker) Trace(r *queue.Record) trace.Delivery { return trace.Of(a.Told(r)) }

// Keeps holds a delivery, as it is told, against what the store does not look at, and against what it saw and is not
// told.
func (a *Asker) Keeps(q *trace.Query, t *trace.Delivery) bool {
	if !a.Scope.All {
		if q.Rule != "" && !slices.Contains(t.Rules, q.Rule) && !slices.Contains(t.Would, q.Rule) &&
			!t.Effects.Names(q.Rule) || q.Site != "" && t.NextHop == "" {
			return false
		}
	}
	return q.Keeps(t)
}

// channelOf is a channel without who spoke.
func channelOf(t *mail.TLS) *mail.TLS {
	if t == nil {
		return nil
	}
	return &mail.TLS{Version: t.Version, Cipher: t.Cipher, Bits: t.Bits, Group: t.Group}
}

// withoutDemands leaves what was reached and the reason, and not what a rule of others demanded in its words.
func withoutDemands(a *attempt.Attempt) attempt.Attempt {
	out := *a
	out.Text, out.Notes, out.Tries = a.Info().Text, nil, slices.Clone(a.Tries)
	for i := range out.Tries {
		t := &out.Tries[i]
		t.JSON, t.Text, t.Shortfalls = nil, t.Reason.Meaning(), slices.Clone(t.Shortfalls)
		for j := range t.Shortfalls {
			t.Shortfalls[j].Text = t.Shortfalls[j].Reason.Meaning()
		}
		if t.Evidence != nil {
			e := *t.Evidence
			e.Expected = nil
			t.Evidence = &e
		}
	}
	return out
}

// withoutHop leaves when a server of others was tried and why that fell short.
func withoutHop(a *attempt.Attempt) attempt.Attempt {
	return attempt.Attempt{At: a.At, TookMS: a.TookMS, Reason: a.Reason, Text: a.Info().Text, Status: a.Status}
}

// withoutWords leaves out what the peer said: it may have said it to somebody else's mail.
func withoutWords(a attempt.Attempt) attempt.Attempt {
	a.Reply, a.Tries = nil, slices.Clone(a.Tries)
	for i := range a.Tries {
		a.Tries[i].JSON, a.Tries[i].Remote = nil, ""
	}
	return a
}
