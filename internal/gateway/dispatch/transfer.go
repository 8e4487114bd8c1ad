package dispatch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/gateway/deliver"
	"postern/internal/mail"
	"postern/internal/mail/dsn"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
)

// transfer sends one message to the recipients of the group over the open channel and settles each of them. It returns
// those for which nothing was sent and all must begin anew.
func (r *run) transfer(ctx context.Context, group []queue.Work) (again []queue.Work) {
	if group = r.unwished(ctx, group); len(group) == 0 {
		return nil
	}
	m := &group[0].Message
	body, err := r.d.cfg.Store.Open(ctx, m.ID)
	if err != nil {
		r.unreadable(ctx, group, err)
		return nil
	}
	defer body.Close()
	t := &smtpclient.Transaction{
		Envelope: m.Envelope, Size: m.Size, EightBit: m.EightBit, HeaderUTF8: m.HeaderUTF8, Body: r.watched(body), Ending: r.ending,
	}
	for i := range group {
		t.Recipients = append(t.Recipients, group[i].Recipient)
	}
	first := r.channel.Sent() == 0
	result, err := r.channel.SendWhile(r.effort, group[0].Requirement, t, func() bool { return r.d.cfg.InForce() == r.view })
	if lapsed := (*deliver.Lapsed)(nil); errors.As(err, &lapsed) {
		if r.lapsed(ctx, group, lapsed) {
			return group
		}
		return nil
	}
	if errors.Is(err, deliver.ErrOvertaken) {
		return group
	}
	if result.Elsewhere && r.moved != group[0].Message.ID && !canceled(err) {
		r.moved = group[0].Message.ID
		return r.elsewhere(ctx, group, result)
	}
	switch {
	case err == nil || !undecided(result):
	case badContent(err):
		r.unreadable(ctx, group, err)
		r.closeChannel()
		return nil
	case canceled(err): // the gateway stops: nobody fell short
		r.giveBack(ctx, group)
		r.closeChannel()
		return nil
	case first:
		r.brokeAtOnce(ctx, group, err)
		return nil
	}
	r.pass()
	if err == nil {
		r.progress(m)
	}
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = r.judge(&group[i], result, i, err)
	}
	if slices.ContainsFunc(fates, func(f fate) bool { return f.settlement.State == queue.Delivered }) {
		r.learn(ctx)
	}
	r.conclude(ctx, fates)
	if err != nil {
		r.closeChannel()
	}
	return nil
}

// lapsed: the channel no longer passes. Nothing was sent; where it reports true a new one is opened, and its climb decides.
func (r *run) lapsed(ctx context.Context, group []queue.Work, why *deliver.Lapsed) (again bool) {
	fresh := r.channel.Sent() == 0
	r.closeChannel()
	// Another message's first use came before this one's: another host of the plan may be known by that. One climb more,
	// in which the administrator is told of what is not.
	again = fresh && !r.overtaken && why.Shortfalls[0].Reason == policy.MXChanged
	r.overtaken = r.overtaken || again
	if fresh && !again { // it passed a moment ago and does not now: let the retry schedule pace this
		a := r.attempt(nil)
		a.Reason, a.Text = why.Shortfalls[0].Reason, why.Shortfalls[0].Text
		r.climbed.Attempt = a
		r.siteFailed(ctx, group)
		return false
	}
	return true
}

// unreadable: our own store cannot give the content. What is gone or damaged is held, for trying again will not mend it;
// anything else may pass, like a lack of open files.
func (r *run) unreadable(ctx context.Context, group []queue.Work, err error) {
	if ctx.Err() != nil {
		r.giveBack(ctx, group)
		return
	}
	const what = "the stored content cannot be read"
	id := string(group[0].Message.ID)
	if errors.Is(err, queue.ErrDamaged) {
		r.d.warn("queue", err, "message "+id+" is held and nothing of it is sent; put a good copy of its content in place and `postern queue release "+id+"`, or cancel it")
		r.holds(ctx, group, strings.TrimPrefix(err.Error(), "queue: "))
		return
	}
	if errors.Is(err, queue.ErrNotFound) || badContent(err) {
		r.d.warn("queue", err, "the content of message "+id+" cannot be read; it is held")
		r.holds(ctx, group, what)
		return
	}
	r.d.storeFailed(err, "the content of message "+string(group[0].Message.ID)+" cannot be read now; it is tried again")
	a := &attempt.Attempt{At: time.Now(), Reason: policy.PolicyUnavailable, Text: what + " now"}
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = r.d.deferred(&group[i], a, r.later(&group[i]))
	}
	r.conclude(ctx, fates)
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
func (r *run) brokeAtOnce(ctx context.Context, group []queue.Work, err error) {
	a := r.attempt(nil)
	a.Reason, a.Text = blame(err)
	r.climbed.Attempt = a
	r.failed = true
	r.closeChannel()
	fates := make([]fate, len(group))
	for i := range group {
		fates[i] = r.d.deferred(&group[i], a, time.Now().Add(r.d.step(group[i].Attempts+1)))
	}
	r.conclude(ctx, fates)
}

// blame is the reason of a connection that broke during a transaction.
func blame(err error) (policy.Reason, string) {
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
	a := *r.climbed.Attempt
	a.Reply = reply
	if r.channel != nil && r.channel.Sent() > 1 {
		a.At = time.Now()
		a.TookMS = 0
		if used := r.climbed.Attempt.Used(); used != nil && r.carried == nil {
			r.carried = []attempt.Try{*used}
		}
		if r.carried != nil {
			a.Tries = r.carried
		}
	}
	return &a
}

// judge turns the engine's result for one recipient into its fate.
func (r *run) judge(w *queue.Work, result *smtpclient.Result, i int, err error) fate {
	rr := result.Recipients[i]
	a := r.attempt(reply(r.channel.Host(), rr))
	switch rr.Outcome {
	case smtpclient.Delivered:
		return r.delivered(w, a, result)
	case smtpclient.Failed:
		if rr.Reply.Code == 530 && !r.channel.Encrypted() && !rr.Local { // it wants the TLS that could not be had
			return r.d.deferred(w, a, r.later(w))
		}
		a.Reason, a.Text = policy.Remote5xx, refusal(rr)
		if rr.Local {
			_, a.Status, _ = strings.Cut(rr.Reply.Status, ".")
		}
		return r.d.failed(w, a, rr.Reply.Status)
	case smtpclient.Deferred:
		a.Reason, a.Text = policy.Remote4xx, refusal(rr)
		return r.d.deferred(w, a, r.later(w))
	case smtpclient.Again:
		return r.d.again(w)
	}
	if canceled(err) {
		return r.d.again(w)
	}
	a.Reason, a.Text = blame(err)
	return r.d.deferred(w, a, r.later(w))
}

// later is when a delivery is tried again that was put off for itself.
func (r *run) later(w *queue.Work) time.Time { return time.Now().Add(r.d.step(w.Attempts + 1)) }

func refusal(rr smtpclient.RecipientResult) string {
	if rr.Local {
		return smtp.Printable(rr.Reply.String(), 300)
	}
	return "the server answered " + rr.Command + " with a refusal"
}

// reply keeps the peer's answer; words of our own are no reply.
func reply(host string, rr smtpclient.RecipientResult) *attempt.Reply {
	if rr.Local || rr.Reply.Code == 0 {
		return nil
	}
	text := ""
	for _, line := range rr.Reply.Lines {
		text += " " + line
	}
	return &attempt.Reply{Host: host, Command: rr.Command, Code: rr.Reply.Code, Status: rr.Reply.Status,
		Text: smtp.Printable(trimmed(text), 512)}
}

func trimmed(s string) string {
	if s == "" {
		return s
	}
	return s[1:]
}

// delivered settles success. The reason kept is why the connection was not higher on the ladder.
func (r *run) delivered(w *queue.Work, a *attempt.Attempt, result *smtpclient.Result) fate {
	f := newFate(w, queue.Delivered, a)
	f.settlement.Reached = r.channel.Reached()
	if result.Converted {
		a.Notes = append(slices.Clone(a.Notes), "converted-to-7bit")
	}
	if note := r.would(w); note != "" {
		a.Notes = append(slices.Clone(a.Notes), note)
	}
	if w.Recipient.Notify.Wants(mail.NotifySuccess) && !result.DSN {
		f.notify(dsn.Relayed, "")
	}
	return f
}

// would says what the rules under test would have made of a delivery, judged by the connection that carried it; "" when
// no such rule spoke of it.
func (r *run) would(w *queue.Work) string {
	if len(w.Tested) == 0 {
		return ""
	}
	if r.testedOf != w.Message.ID {
		r.testedOf = w.Message.ID
		r.tested, _ = r.view.Stored(context.Background(), r.d.cfg.Store, &w.Message) // nothing is known without the rules, and nothing hangs on it
	}
	outcome := r.tested[w.Recipient.Address]
	if outcome == nil || len(outcome.Tested) == 0 {
		return "" // the rules changed meanwhile: the record keeps their names
	}
	names := strings.Join(outcome.Tested, ", ")
	short := r.channel.Would(policy.Combine(w.Requirement, outcome.TestedRequirement))
	if len(short) == 0 {
		return "rules under test (" + names + "): would have been delivered over this connection too"
	}
	why := short[0].Reason
	if !r.channel.Encrypted() && r.climbed.Attempt.Reason != "" {
		why = r.climbed.Attempt.Reason
	}
	return "rules under test (" + names + "): would not have used this connection: " + string(why)
}
