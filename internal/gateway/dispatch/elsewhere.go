package dispatch

import (
	"context"

	"postern/internal/queue"
	"postern/internal/smtp/smtpclient"
)

// elsewhere says a message again at once over a new connection, because the one at hand was at its end before anything of it
// was judged (smtpclient.Result.Elsewhere, the one place where that is decided; RFC 5321 §3.8). No attempt is counted, and
// nothing of the new connection is taken from the old: it climbs the ladder and passes its own verdict. It happens at most
// once for a message and run; afterwards what a connection does is what the peer says. What our own engine has decided
// for itself meanwhile stays decided.
func (r *run) elsewhere(ctx context.Context, group []queue.Work, result *smtpclient.Result) []queue.Work {
	var decided []fate
	var rest []queue.Work
	for i := range group {
		if result.Recipients[i].Local {
			decided = append(decided, r.judge(&group[i], result, i, nil))
		} else {
			rest = append(rest, group[i])
		}
	}
	r.conclude(ctx, decided)
	r.closeChannel()
	if r.stuck {
		return nil
	}
	return rest
}
