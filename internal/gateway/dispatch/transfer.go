package dispatch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/fate"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
)

// transfer sends one message to the recipients of the group over the open channel.
func (r *run) transfer(ctx context.Context, m *message) step {
	group, about := m.works, &m.works[0].Message
	body, err := r.d.cfg.Store.Open(ctx, about.ID)
	if err != nil {
		return r.unreadable(ctx, group, err)
	}
	defer body.Close()
	head := group[0].Effects.Head()
	t := &smtpclient.Transaction{
		Envelope: about.Envelope, Size: about.Size + int64(len(head)), EightBit: about.EightBit,
		HeaderUTF8: about.HeaderUTF8, Body: r.watched(withHead(body, head)), Ending: r.ending,
	}
	for i := range group {
		t.Recipients = append(t.Recipients, group[i].Recipient)
	}
	first := r.channel.Sent() == 0
	terms := deliver.Terms{Requirement: group[0].Requirement, Waives: r.waives(about)}
	t.Still = func(begun bool) bool {
		if begun { // content is not broken off for another reason
			return r.d.joined() && r.leases.stand(group)
		}
		return r.still() && r.leases.stand(group)
	}
	result, err := r.channel.Send(r.effort, terms, t)
	lapsed := (*deliver.Lapsed)(nil)
	switch {
	case errors.As(err, &lapsed):
		return r.lapsed(m, lapsed.Shortfalls[0])
	case errors.Is(err, deliver.ErrOvertaken):
		return step{left: group}
	case result.Elsewhere && !m.elsewhere && !canceled(err):
		return r.elsewhere(m, result)
	case err == nil || !undecided(result):
	case badContent(err):
		return r.unreadable(ctx, group, err)
	case canceled(err): // the gateway stops: nobody fell short
		return step{fates: all(group, r.d.fates.Untouched), hangUp: true}
	case first:
		return r.brokeAtOnce(group, err)
	}
	r.passed()
	if err == nil {
		r.progress(about)
	}
	s := step{hangUp: err != nil}
	for i := range group {
		s.fates = append(s.fates, r.recipientFate(&group[i], result, i, err))
	}
	if slices.ContainsFunc(s.fates, func(f fate.Fate) bool { return f.Settlement.State == queue.Delivered }) {
		r.learnNames(ctx)
	}
	return s
}

// elsewhere says a message again at once over a new connection, because the one at hand was at its end before anything
// of it was judged (smtpclient.Result.Elsewhere, the one place where that is decided; RFC 5321 §3.8). No attempt is
// counted, and nothing of the new connection is taken from the old: it climbs the ladder and passes its own verdict. It
// happens at most once to a message in hand; afterwards what a connection does is what the peer says. What our own
// engine has decided for itself meanwhile stays decided.
func (r *run) elsewhere(m *message, result *smtpclient.Result) step {
	m.elsewhere = true
	s := step{hangUp: true}
	for i := range m.works {
		if result.Recipients[i].Local {
			s.fates = append(s.fates, r.recipientFate(&m.works[i], result, i, nil))
		} else {
			s.left = append(s.left, m.works[i])
		}
	}
	return s
}

// unreadable: our own store cannot give the content. What is gone or damaged is held until an administrator acts, for
// trying again will not mend it; anything else may pass, like a lack of open files.
func (r *run) unreadable(ctx context.Context, group []queue.Work, err error) step {
	s := step{hangUp: badContent(err)}
	if ctx.Err() != nil {
		s.fates = all(group, r.d.fates.Untouched)
		return s
	}
	id := string(group[0].Message.ID)
	a := &attempt.Attempt{At: time.Now(), Reason: policy.PolicyUnavailable, Text: "the stored content cannot be read"}
	switch {
	case errors.Is(err, queue.ErrDamaged):
		a.Text = strings.TrimPrefix(err.Error(), "queue: ")
		r.d.warn("queue", err, "message "+id+" is held and nothing of it is sent; put a good copy of its content "+
			"in place and `postern queue release "+id+"`, or cancel it")
	case errors.Is(err, queue.ErrNotFound), badContent(err) && !errors.Is(err, queue.ErrAway):
		r.d.warn("queue", err, "the content of message "+id+" cannot be read; it is held")
	default:
		a.Text += " now"
		r.d.storeFailed(err, "the content of message "+id+" cannot be read now; it is tried again")
		s.fates = all(group, r.d.fates.DeferredAlone(a))
		return s
	}
	s.fates = all(group, func(w *queue.Work) fate.Fate { return fate.New(w, queue.Held, a) })
	return s
}

// badContent reports whether a transfer ended because of what was to be sent.
func badContent(err error) bool {
	var e *smtpclient.Error
	return errors.As(err, &e) && e.Kind == smtpclient.BadContent
}

// canceled reports whether a transfer ended because we ended it.
func canceled(err error) bool {
	var e *smtpclient.Error
	return errors.As(err, &e) && e.Kind == smtpclient.Canceled
}

func undecided(result *smtpclient.Result) bool {
	for _, rr := range result.Recipients {
		if rr.Outcome != smtpclient.Undecided {
			return false
		}
	}
	return true
}

// brokeAtOnce: the first transaction of a new connection broke it. That is the site's failure; the message gets a pause
// of its own too, so that one the peer chokes on does not stand in front of all others.
func (r *run) brokeAtOnce(group []queue.Work, err error) step {
	r.climb = r.attempt(nil)
	r.climb.Reason, r.climb.Text = brokenBy(err)
	r.closeChannel()
	return step{fates: all(group, r.d.fates.DeferredAlone(r.climb)), next: failed}
}

// brokenBy is the reason of a connection that broke during a transaction.
func brokenBy(err error) (policy.Reason, string) {
	var e *smtpclient.Error
	if !errors.As(err, &e) || e.Reason == "" {
		return policy.RemoteClosed, "the connection broke during the transfer"
	}
	text := e.Reason.Info().Text
	if e.Sent {
		text += " The server may have taken the message: no answer came after its end."
	}
	return e.Reason, text
}

// attempt is the record of this transfer. The first on a channel has the whole climb, later ones the connection used.
func (r *run) attempt(reply *attempt.Reply) *attempt.Attempt {
	a := *r.climb
	a.Reply = reply
	if r.channel != nil && r.channel.Sent() > 1 {
		a.At = time.Now()
		a.TookMS = 0
		if used := r.climb.Used(); used != nil && r.carried == nil {
			r.carried = []attempt.Try{*used}
		}
		if r.carried != nil {
			a.Tries = r.carried
		}
	}
	return &a
}

// recipientFate turns the engine's result for one recipient into its fate.
func (r *run) recipientFate(w *queue.Work, result *smtpclient.Result, i int, err error) fate.Fate {
	rr := result.Recipients[i]
	a := r.attempt(reply(r.channel.Host(), rr))
	switch rr.Outcome {
	case smtpclient.Delivered:
		return r.delivered(w, a, result)
	case smtpclient.Failed:
		if rr.Reply.Code == 530 && !r.channel.Encrypted() && !rr.Local { // it wants the TLS that could not be had
			return r.d.fates.Deferred(w, a, r.d.fates.Later(w))
		}
		a.Reason, a.Text = policy.Remote5xx, refusal(rr)
		if rr.Local && rr.Reply.Status == "5.7.30" {
			a.Reason = policy.RequireTLSNotOffered
		}
		if rr.Local {
			_, detail, _ := strings.Cut(rr.Reply.Status, ".")
			a.Refuse(detail, smtp.Printable(strings.Join(rr.Reply.Lines, " "), 300))
		}
		return r.d.fates.Failed(w, a, rr.Reply.Status)
	case smtpclient.Deferred:
		a.Reason, a.Text = policy.Remote4xx, refusal(rr)
		return r.d.fates.Deferred(w, a, r.d.fates.Later(w))
	case smtpclient.Again:
		return r.d.fates.Untouched(w)
	}
	if canceled(err) {
		return r.d.fates.Untouched(w)
	}
	a.Reason, a.Text = brokenBy(err)
	return r.d.fates.Deferred(w, a, r.d.fates.Later(w))
}

func refusal(rr smtpclient.RecipientResult) string {
	return "the server answered " + rr.Command + " with a refusal"
}

// reply keeps the peer's answer; words of our own are no reply.
func reply(host string, rr smtpclient.RecipientResult) *attempt.Reply {
	if rr.Local || rr.Reply.Code == 0 {
		return nil
	}
	return &attempt.Reply{Host: host, Command: rr.Command, Code: rr.Reply.Code, Status: rr.Reply.Status,
		Text: smtp.Printable(strings.Join(rr.Reply.Lines, " "), 512)}
}

// delivered settles success. The reason kept is why the connection was not higher on the ladder.
func (r *run) delivered(w *queue.Work, a *attempt.Attempt, result *smtpclient.Result) fate.Fate {
	f := fate.New(w, queue.Delivered, a)
	f.Settlement.Reached = r.channel.Reached()
	if result.Converted {
		a.Notes = append(slices.Clone(a.Notes), "converted-to-7bit")
	}
	if note := r.wouldNote(w); note != "" {
		a.Notes = append(slices.Clone(a.Notes), note)
	}
	fate.Receipted(w, &f, result.DSN)
	return f
}

// wouldNote says what the rules under test would have made of a delivery, judged by the connection that carried it; ""
// when no such rule spoke of it.
func (r *run) wouldNote(w *queue.Work) string {
	if len(w.Tested) == 0 {
		return ""
	}
	// Nothing is known without the rules, and nothing hangs on it.
	outcomes, _ := r.judged.Of(context.Background(), &w.Message)
	outcome := outcomes[w.Recipient.Address]
	if outcome == nil || len(outcome.Tested) == 0 {
		return "" // the rules changed meanwhile: the record keeps their names
	}
	names := strings.Join(outcome.Tested, ", ")
	short := r.channel.Would(policy.Combine(w.Requirement, outcome.TestedRequirement))
	if len(short) == 0 {
		return "rules under test (" + names + "): would have been delivered over this connection too"
	}
	why := short[0].Reason
	if !r.channel.Encrypted() && r.climb.Reason != "" {
		why = r.climb.Reason
	}
	return "rules under test (" + names + "): would not have used this connection: " + string(why)
}
