package examiner

import (
	"context"

	"postern/internal/attempt"
	"postern/internal/check"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/policy"
)

// judgeAll answers questions about plan. Where the only address could not be talked to, one answer does for all:
// nothing before STARTTLS depends on what is demanded.
func (c *Checker) judgeAll(ctx context.Context, questions []check.Question, plan *route.Plan) []check.Verdict {
	var out []check.Verdict
	for i, q := range questions {
		if i > 0 && len(plan.Hops) == 1 && len(plan.Hops[0].Addrs) == 1 && !out[0].Answered &&
			q.Requirement.Channel >= questions[0].Requirement.Channel {
			same := out[0]
			same.Question, same.Requires = q.Name, q.Requirement.Channel
			out = append(out, same)
			continue
		}
		out = append(out, c.judge(ctx, q, plan))
	}
	return out
}

// judge answers one question as a delivery would: by opening a channel under the same plan and the same requirement.
// The channel is closed before MAIL.
func (c *Checker) judge(ctx context.Context, q check.Question, plan *route.Plan) check.Verdict {
	climbed := c.deliverer.Open(ctx, c.site(), plan, q.Requirement, nil)
	v := verdict(q, climbed.Attempt)
	if v.Reason != "" {
		v.Hint = climbed.Attempt.Hint(asker(q))
	}
	switch {
	case climbed.Channel != nil:
		end(&v, check.Delivered)
		v.Reached = climbed.Channel.Reached().String()
		climbed.Channel.Close()
	case rejected(q.Requirement, climbed):
		end(&v, check.Failed)
	}
	return v
}

// asker says who demands what a question demands: a rule, but for ordinary mail to a domain of ours.
func asker(q check.Question) string {
	if by := q.Requirement.Asker(); by != policy.ByRule || q.Name != check.Opportunistic {
		return by
	}
	return policy.ByOwn
}

// rejected reports whether the sender would be told at once.
func rejected(r policy.Requirement, climbed deliver.Climbed) bool {
	return climbed.WithoutTLS && r.Forced() && r.WithoutTLS == policy.WithoutTLSReject
}

// verdict tells an attempt. The outcome is Deferred; the caller knows better where a channel was opened.
func verdict(q check.Question, a *attempt.Attempt) check.Verdict {
	v := check.Verdict{Question: q.Name, Requires: q.Requirement.Channel, Outcome: check.Deferred, Notes: a.Notes}
	blame(&v, a.Reason, a.Text)
	if t := a.Telling(); t != nil {
		v.Host, v.IP, v.Shortfalls, v.TLS, v.Revocation = t.Host, t.IP, t.Shortfalls, t.TLS(), revocation(t.Evidence)
		if v.Published = t.Published; t.Evidence != nil && t.Evidence.DANE != nil {
			v.Matched = t.Evidence.DANE.Record
		}
	}
	for i := range a.Tries {
		t := &a.Tries[i]
		v.Tries = append(v.Tries, check.Try{Host: t.Host, IP: t.IP, Rung: t.Rung, Used: t.Used, TookMS: t.TookMS,
			Reason: t.Reason, Text: t.Text, Remote: t.Remote, Alert: t.Alert})
		v.Answered = v.Answered || t.Rung != "" && (t.Evidence != nil || !beforeTLS(t.Reason))
	}
	return v
}

// revocation is what evidence says about revocation.
func revocation(e *policy.Evidence) *check.Revocation {
	if e == nil || e.Revocation == "" {
		return nil
	}
	return &check.Revocation{Status: e.Revocation, Source: e.RevocationSource, AsOf: e.RevocationAsOf,
		AgeS: e.RevocationAgeS, Detail: e.RevocationDetail}
}

// blame sets the reason and what is known about it.
func blame(v *check.Verdict, r policy.Reason, text string) {
	if v.Reason, v.Text = r, text; r == "" {
		return
	}
	info := r.Info()
	v.Who, v.Hint, v.TLSRPT = info.Who, info.Hint, info.TLSRPT
	end(v, check.Deferred)
}

// end sets the outcome, and the status code whose class follows from it.
func end(v *check.Verdict, o check.Outcome) {
	v.Outcome, v.Status = o, ""
	if class := map[check.Outcome]string{check.Deferred: "4.", check.Failed: "5."}[o]; class != "" && v.Reason != "" {
		v.Status = class + v.Reason.Info().Status
	}
}

// planless is the verdict on a target to which there is no way.
func planless(q check.Question, p *route.Problem) check.Verdict {
	v := check.Verdict{Question: q.Name, Requires: q.Requirement.Channel, Outcome: check.Deferred}
	blame(&v, p.Reason, p.Text)
	v.Hint = p.Reason.Info().HintFor(excludedBy(p), asker(q))
	if p.Final(q.Requirement) {
		end(&v, check.Failed)
	} else if p.Permanent && p.Contradicted {
		v.Text += "; nobody signed that answer, and the domain's enforced MTA-STS policy says that it takes mail, " +
			"so all mail waits for delivery.unsigned_no before it returns"
	} else if p.Permanent {
		v.Text += "; nobody signed that answer, so protected mail waits for delivery.unsigned_no before it returns"
	}
	return v
}

// excludedBy is the kind of what is published that a problem is due to, "" where it is none.
func excludedBy(p *route.Problem) string {
	for i := range p.Hops {
		try := deliver.PassedOver(&p.Hops[i])
		if try.Reason = p.Reason; len(try.Published) == 0 {
			continue
		}
		if by := try.FellShortOf(); by != nil && by.Shortfalls[0].Reason == p.Reason {
			return by.Kind
		}
	}
	return ""
}

// beforeTLS reports whether a connection that ended for r, without a handshake, ended before EHLO was answered.
func beforeTLS(r policy.Reason) bool {
	switch r {
	case policy.ConnectRefused, policy.ConnectTimeout, policy.ConnectUnreach, policy.GreetingTimeout,
		policy.GreetingRefused,
		policy.EHLORefused, policy.RemoteClosed, policy.RemoteTimeout, policy.Remote4xx, policy.Remote5xx:
		return true
	}
	return false
}

// rungOf is the rung at which an address shows most: the one ordinary mail used, or the first.
func rungOf(v *check.Verdict) attempt.Rung {
	for _, t := range v.Tries {
		if t.Used && t.Rung != attempt.Plain {
			return t.Rung
		}
	}
	return attempt.Modern
}
