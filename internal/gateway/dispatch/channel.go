package dispatch

import (
	"context"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/fate"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// connect sees that there is a channel for the group; nil when there is one.
func (r *run) connect(ctx context.Context, group []queue.Work) *step {
	r.servers, r.require = serversOf(group[0].NextHop), group[0].Requirement
	waives := r.waives(&group[0].Message)
	domain := group[0].Recipient.Address.Domain
	if r.channel != nil && (r.channel.Waived() && !waives ||
		r.channel.Source() != r.view.Table.SourceFor(r.servers, domain) ||
		!r.channel.Healthy() || !r.channel.Alive(r.effort)) {
		r.closeChannel()
	}
	if r.channel != nil {
		return nil
	}
	if !r.enter("to " + r.servers.String()) {
		return r.crowded(group)
	}
	table := r.view.TableFor(domain)
	if waives {
		table = table.SetAside()
	}
	return r.reach(ctx, group, table, nil)
}

// reach climbs to the servers of the group. Before mail fails for what a domain publishes that is asked for again,
// once: where it is another now, the climb with it goes on from the tries of before.
func (r *run) reach(ctx context.Context, group []queue.Work, table *route.Table, before *attempt.Attempt) *step {
	domain := group[0].Recipient.Address.Domain
	plan, problem := table.PlanFor(r.effort, r.servers, domain)
	if problem != nil && ctx.Err() != nil {
		return &step{fates: all(group, r.d.fates.Untouched)}
	}
	if problem != nil {
		final, text := r.d.finalProblem(domain, problem, r.require)
		r.climb = &attempt.Attempt{At: time.Now(), Reason: problem.Reason, Text: text}
		r.passedOver(table, problem, domain, &group[0].Message)
		return r.withoutChannel(group, final)
	}
	r.d.forgetRefusal(domain)
	climbed := r.d.cfg.Opener.Open(r.effort, string(r.site), plan, r.require, r.admit)
	if r.climb = climbed.Attempt; before != nil {
		r.climb.Follow(before)
	}
	if before == nil && climbed.LacksTLS() && ctx.Err() == nil && plan.Renew(r.effort) {
		return r.reach(ctx, group, table, r.climb)
	}
	if climbed.Channel == nil && ctx.Err() != nil { // cut off because the gateway stops: nobody fell short
		return &step{fates: all(group, r.d.fates.Untouched)}
	}
	if climbed.Crowded {
		return r.crowded(group)
	}
	r.d.cfg.Sink.Emit(event.Attempted{
		Site: string(r.site), Leg: plan.Leg, Requires: r.require.Channel, Attempt: r.climb,
		Domain: plan.Domain, Named: plan.ByAdmin, Report: group[0].Message.Kind == queue.Report,
	})
	r.d.tellChangedHosts(plan.Domain, &climbed)
	switch {
	case climbed.Channel == nil && climbed.WithoutTLS && r.rejects(group):
		return &step{fates: all(group, func(w *queue.Work) fate.Fate { return r.d.fates.WithoutTLS(w, r.climb) })}
	case climbed.Channel == nil:
		return r.withoutChannel(group, climbed.Unpromised && tellable(&group[0].Message))
	}
	r.opened(climbed.Channel)
	return nil
}

// passedOver takes into the attempt what the hosts of a domain publish that no plan leads to, and tells of it.
func (r *run) passedOver(table *route.Table, problem *route.Problem, domain mail.Domain, m *queue.Message) {
	for i := range problem.Hops {
		if hop := &problem.Hops[i]; len(hop.Published) > 0 { // what it asks for is told
			r.climb.Tries = append(r.climb.Tries, deliver.PassedOver(hop))
		}
	}
	if len(r.climb.Tries) > 0 {
		r.d.cfg.Sink.Emit(event.PassedOver{Leg: table.Leg(domain), Attempt: r.climb, Domain: domain,
			Named: r.servers.By != route.ByMX, Report: m.Kind == queue.Report})
	}
}

// waives reports whether a message sets aside what is published: a report about TLS does, whatever the configuration
// says.
func (r *run) waives(m *queue.Message) bool {
	return m.Waives && (m.Kind == queue.Report || r.view.Table.Waives())
}

// withoutChannel ends a group at once, or puts it off with its site.
func (r *run) withoutChannel(group []queue.Work, ends bool) *step {
	if ends {
		return &step{fates: all(group, func(w *queue.Work) fate.Fate { return r.d.fates.Failed(w, r.climb, "") })}
	}
	s := r.siteFailed(group)
	return &s
}

// crowded gives a group back because too many wait for its destination already; the site waits for its turn there.
func (r *run) crowded(group []queue.Work) *step {
	return &step{fates: all(group, r.d.fates.Untouched), next: crowded}
}

// rejects reports whether a message fails at once for a peer without TLS. A notice of ours never does: it is held.
func (r *run) rejects(group []queue.Work) bool {
	rejects := r.require.Forced() && r.require.WithoutTLS == policy.WithoutTLSReject
	return rejects && group[0].Message.Kind == queue.Ordinary
}

// tellable reports whether somebody hears of it when a message fails. One without the promise of REQUIRETLS fails at
// once then; a report is not discarded for the lack of it (RFC 8689 §5): another's waits, one of ours is held.
func tellable(m *queue.Message) bool { return m.Kind == queue.Ordinary && !m.Envelope.From.IsNull() }

// opened takes a channel that passed.
func (r *run) opened(c *deliver.Channel) {
	r.channel, r.carried = c, nil
	r.joined()
	for i, t := range r.climb.Tries {
		r.climb.Tries[i] = t.Sealed()
	}
}

func (r *run) closeChannel() {
	if r.channel != nil {
		r.channel.Close()
		r.channel = nil
	}
}

// lapsed: the channel no longer passes, and nothing was sent. A new one is opened, and its climb decides.
func (r *run) lapsed(m *message, why policy.Shortfall) step {
	fresh := r.channel.Sent() == 0
	r.closeChannel()
	switch {
	case fresh && !m.overtaken && (why.Reason == policy.MXChanged || why.Reason == policy.PolicyUnavailable):
		// Another message's first use came before this one's: another host of the plan may be known by that. Or what is
		// published was found out meanwhile. One climb more, in which the administrator is told of what is not known.
		m.overtaken = true
	case fresh: // it passed a moment ago and does not now: let the retry schedule pace this
		r.climb = r.attempt(nil)
		r.climb.Reason, r.climb.Text = why.Reason, why.Text
		return r.siteFailed(m.works)
	}
	return step{left: m.works}
}

// passed notes that a connection passed, and wakes failing sites at the same next hop that may pass too.
func (r *run) passed() {
	if r.result.Passed {
		return
	}
	r.result.Passed = true
	if r.probe {
		r.tellPassed(r.effort)
	}
	r.d.wakeBroken(r.servers, r.site, r.channel.Reached())
}
