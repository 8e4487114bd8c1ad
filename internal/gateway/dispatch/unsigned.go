package dispatch

import (
	"fmt"
	"maps"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
)

// refusals is since when DNS has said of a domain, unsigned and to forced mail, that nobody takes mail there. Whoever
// forges one answer could otherwise have protected mail returned, and learn from the report what was sent, or make its
// sender look for another way. So such a "no" counts once it has stood for Config.UnsignedNo, and any other answer
// between ends it.
//
// It is kept in memory: after a restart the time begins anew, and the rule's window bounds it in any case.
type refusals map[mail.Domain]time.Time

// maxRefusals bounds what is kept; a domain beyond it waits until another is forgotten, or its window ends.
const maxRefusals = 10_000

// since notes a "no" at now and returns when it began.
func (r refusals) since(d mail.Domain, now time.Time) time.Time {
	if began, ok := r[d]; ok && !began.After(now) {
		return began
	}
	if len(r) >= maxRefusals {
		maps.DeleteFunc(r, func(_ mail.Domain, began time.Time) bool { return now.Sub(began) > leastHorizon })
	}
	if len(r) < maxRefusals {
		r[d] = now
	}
	return now
}

// finalProblem reports whether a problem of the way to a domain ends mail under r now, and says the problem with what
// is waited for.
func (d *Dispatcher) finalProblem(domain mail.Domain, p *route.Problem, r policy.Requirement) (bool, string) {
	if !p.Permanent || p.Final(r) || d.cfg.UnsignedNo <= 0 {
		return p.Permanent, p.Text
	}
	now := time.Now()
	d.mu.Lock()
	stood := now.Sub(d.refused.since(domain, now))
	d.mu.Unlock()
	if stood >= d.cfg.UnsignedNo {
		return true, fmt.Sprintf("%s; nobody signed that answer, and it stood for %v", p.Text, stood.Round(time.Minute))
	}
	return false, fmt.Sprintf("%s; nobody signed that answer, so protected mail waits until it has stood for %v",
		p.Text, d.cfg.UnsignedNo)
}

// forgetRefusal ends a "no": DNS names hosts again.
func (d *Dispatcher) forgetRefusal(domain mail.Domain) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.refused, domain)
}
