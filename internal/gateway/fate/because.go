package fate

import (
	"context"

	"postern/internal/policy/rule"
	"postern/internal/queue"
)

// becauseLook is how many of a message's recipients are looked at to find those because of whom others are protected.
const becauseLook = 1000

// explainTaint tells the sender of recipients whom no rule names why they are protected all the same. What cannot be
// read is left out: the notice is not for that alone.
func (d *Decider) explainTaint(ctx context.Context, fates []*Fate) {
	var tainted []*Fate
	for _, f := range fates {
		if f.Work.Message.Kind == queue.Ordinary && f.Work.Tainted() {
			tainted = append(tainted, f)
		}
	}
	if len(tainted) == 0 {
		return
	}
	named := map[*Fate][]string{}
	for r, err := range d.cfg.Mail.List(ctx,
		queue.Filter{IDs: []queue.ID{fates[0].Work.Message.ID}, Limit: becauseLook}) {
		if err != nil {
			break
		}
		for _, f := range tainted {
			if len(named[f]) < rule.MaxBecause && r.Taints(f.Work.Rules) {
				named[f] = append(named[f], r.Recipient.Address.String())
			}
		}
	}
	for _, f := range tainted {
		f.Notice.Because = rule.Because(f.Work.Rules, named[f])
	}
}
