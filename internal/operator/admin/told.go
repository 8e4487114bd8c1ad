package admin

import (
	"errors"
	"slices"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// ErrUnfinished: not everything could be looked at in the time there was, so that "there is none" cannot be said.
var ErrUnfinished = errors.New("not everything could be looked at in time; narrow the question, or ask again")

// errHidden stands for an error whose words may speak of others.
var errHidden = errors.New("something failed; an administrator of the whole gateway finds in its log what")

// Tell is an error as the principal may hear it: what is about the request is told in its words, anything else to a
// scope of domains without them, because they may name files, rules and servers of others. known are more errors about
// requests.
func (d *Desk) Tell(err error, known ...error) error {
	if err == nil || d.p.Scope.All {
		return err
	}
	known = append(known, ErrForbidden, ErrStale, ErrNotFound, ErrBadRequest, ErrWho, ErrRevision, ErrBusy, ErrStreams, ErrUnfinished)
	if slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return err
	}
	if broken, ok := errors.AsType[*rules.ParseError](err); ok && broken.File == ownRule {
		return err
	}
	return errHidden
}

// ordered reports whether a delivery is one that the scope sent, or a notice to it about one: what rules demanded of it
// was demanded of the scope's own mail.
func (d *Desk) ordered(r *queue.Record) bool {
	kind := r.Message.Kind
	return d.p.Scope.Covers(r.Message.Envelope.From.Domain) ||
		(kind == queue.DSN || kind == queue.Delay) && d.p.Scope.Covers(r.Recipient.Address.Domain)
}

// elsewhere reports whether mail for a domain goes to servers of our own that are not the scope's.
func (d *Desk) elsewhere(domain mail.Domain) bool {
	return !d.p.Scope.Covers(domain) && d.s.cfg.Rules.Now().Serves(domain)
}

// told is a record as the principal may see it. The record itself stays as it is.
func (d *Desk) told(r *queue.Record) *queue.Record {
	if d.p.Scope.All {
		return r
	}
	out := *r
	keep := func(a *attempt.Attempt) attempt.Attempt { return *a }
	if !d.ordered(r) {
		out.Rules, out.Tested, out.Demands, out.Matched = nil, nil, nil, false
		if in := &r.Message.Inbound; in.Relayed {
			out.Message.Inbound = queue.Inbound{Relayed: true, Protocol: in.Protocol, TLS: channelOf(in.TLS)}
		}
		if r.Requirement.Forced() {
			keep = withoutDemands
		}
	}
	if d.elsewhere(r.Recipient.Address.Domain) {
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
	if r.Wish != nil && r.Wish.By != d.p.Name {
		wish := *r.Wish
		wish.By = "an administrator"
		out.Wish = &wish
	}
	return &out
}

// trace is the trace of a record as the principal may see it.
func (d *Desk) trace(r *queue.Record) trace.Delivery { return trace.Of(d.told(r)) }

// keeps holds a delivery, as it is told, against what the store does not look at, and against what it saw and is not
// told.
func (d *Desk) keeps(q *Query, t *trace.Delivery) bool {
	if !d.p.Scope.All {
		if q.Rule != "" && !slices.Contains(t.Rules, q.Rule) && !slices.Contains(t.Would, q.Rule) || q.Site != "" && t.NextHop == "" {
			return false
		}
	}
	return q.keeps(t)
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
	out.Text, out.Notes, out.Tries = meaning(a.Reason), nil, slices.Clone(a.Tries)
	for i := range out.Tries {
		t := &out.Tries[i]
		t.JSON, t.Text, t.Shortfalls = nil, meaning(t.Reason), slices.Clone(t.Shortfalls)
		for j := range t.Shortfalls {
			t.Shortfalls[j].Text = meaning(t.Shortfalls[j].Reason)
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
	return attempt.Attempt{At: a.At, TookMS: a.TookMS, Reason: a.Reason, Text: meaning(a.Reason), Status: a.Status}
}

// withoutWords leaves out what the peer said: it may have said it to somebody else's mail.
func withoutWords(a attempt.Attempt) attempt.Attempt {
	a.Reply, a.Tries = nil, slices.Clone(a.Tries)
	for i := range a.Tries {
		a.Tries[i].JSON, a.Tries[i].Remote = nil, ""
	}
	return a
}

// mine keeps the warnings that are about rules of the principal.
func (d *Desk) mine(list []rules.Warning) (out []rules.Warning, err error) {
	if d.p.Scope.All {
		return list, nil
	}
	own, err := d.ruleNames()
	for _, w := range list {
		if own[w.Rule] {
			w.Line = 0 // of the file that is not shown
			out = append(out, w)
		}
	}
	return out, err
}

// ruleNames are the names of the rules that the principal sees.
func (d *Desk) ruleNames() (map[string]bool, error) {
	set, _, err := d.s.cfg.Rules.Current()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, r := range set.Rules() {
		if d.owns(&r) {
			names[r.Name] = true
		}
	}
	return names, nil
}

// wide refuses a scope of domains.
func (d *Desk) wide(c access.Capability) error {
	if err := d.need(c); err != nil {
		return err
	}
	if !d.p.Scope.All {
		return ErrForbidden
	}
	return nil
}

// meaning is what a reason means in general, "" for none.
func meaning(r policy.Reason) string {
	if r == "" {
		return ""
	}
	return r.Info().Text
}
