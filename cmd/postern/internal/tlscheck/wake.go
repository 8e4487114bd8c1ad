package tlscheck

import (
	"context"
	"errors"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/internal/check"
	"postern/internal/mail"
	"postern/internal/operator/api"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/queue"
)

// waker tells the running gateway of a domain that passes, so that what waits for it goes at once (design.md §3,
// "repair wins"). Where no gateway answers, or it may not be asked, nothing is told and nothing said.
type waker struct {
	client *api.Client
	off    time.Time // until when it is left alone: the last question had no answer
}

// newWaker finds the gateway of the configuration.
func (c *CheckCmd) newWaker(a *cli.App, s *checkSetup) *waker {
	client := api.Dial(c.socket(s.cfg))
	client.By = a.Asker() + " (postern check)"
	return &waker{client: client}
}

// tell has the gateway try what waits for a domain to which mail would be sent now. The gateway judges it by its own
// requirement again.
func (w *waker) tell(ctx context.Context, r *check.Report) {
	domain, err := mail.ParseDomain(r.Domain)
	if time.Now().Before(w.off) || err != nil || !passes(r) || !w.waits(ctx, domain) {
		return
	}
	_, err = w.client.Act(ctx, waiting.ActRequest{Kind: queue.Retry, Domains: []string{domain.String()}})
	if p, ok := errors.AsType[*api.Problem](err); err != nil && !(ok && p.Kind == api.NotFound) { // it may have gone
		w.off = time.Now().Add(leaveTime)
	}
}

// waits reports whether mail for the domain waits for its site.
func (w *waker) waits(ctx context.Context, domain mail.Domain) bool {
	for t, err := range w.client.Traces(ctx, trace.Query{Domain: domain.String(), States: []string{"queued"},
		Limit: 1}) {
		if err != nil {
			w.off = time.Now().Add(leaveTime)
			return false
		}
		return t.SiteFailing > 0
	}
	return false
}

// passes reports whether any of the questions asked would have mail sent.
func passes(r *check.Report) bool {
	for i := range r.Verdicts {
		if r.Verdicts[i].Passes() {
			return true
		}
	}
	return false
}
