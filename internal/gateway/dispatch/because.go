package dispatch

import (
	"context"

	"postern/internal/policy/rule"
	"postern/internal/queue"
)

// becauseLook is how many of a message's recipients are looked at to find those because of whom others are protected.
const becauseLook = 1000

// explainTaint tells the sender of recipients whom no rule names why they are protected all the same. What cannot be
// read is left out: the notice is not for that alone.
func (d *Dispatcher) explainTaint(ctx context.Context, fates []*fate) {
	var tainted []*fate
	for _, f := range fates {
		if f.work.Message.Kind == queue.Ordinary && f.work.Tainted() {
			tainted = append(tainted, f)
		}
	}
	if len(tainted) == 0 {
		return
	}
	named := map[*fate][]string{}
	for r, err := range d.cfg.Store.List(ctx,
		queue.Filter{IDs: []queue.ID{fates[0].work.Message.ID}, Limit: becauseLook}) {
		if err != nil {
			break
		}
		for _, f := range tainted {
			if len(named[f]) < rule.MaxBecause && r.Taints(f.work.Rules) {
				named[f] = append(named[f], r.Recipient.Address.String())
			}
		}
	}
	for _, f := range tainted {
		f.notice.Because = rule.Because(f.work.Rules, named[f])
	}
}
