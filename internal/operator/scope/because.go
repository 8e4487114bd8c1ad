package scope

import (
	"context"
	"maps"
	"slices"

	"postern/internal/operator/trace"
	"postern/internal/policy/rule"
	"postern/internal/queue"
)

// becauseLook is how many of the other recipients of messages are looked at for a page.
const becauseLook = 2000

// Because fills in, for deliveries that no rule names and that are protected all the same, because of whom. Whoever is
// told of rules sent the message, and so knows its recipients.
func (a *Asker) Because(ctx context.Context, traces []trace.Delivery) error {
	tainted := map[queue.ID][]*trace.Delivery{}
	for i := range traces {
		if t := &traces[i]; t.Tainted() {
			tainted[queue.ID(t.Message)] = append(tainted[queue.ID(t.Message)], t)
		}
	}
	if len(tainted) == 0 {
		return nil
	}
	for r, err := range a.cfg.Store.List(ctx, queue.Filter{IDs: slices.Collect(maps.Keys(tainted)), Limit: becauseLook,
		Brief: true}) {
		if err != nil {
			return err
		}
		for _, t := range tainted[r.Delivery.Message] {
			if len(t.Because) < rule.MaxBecause && r.Taints(t.Rules) {
				t.Because = append(t.Because, r.Recipient.Address.String())
			}
		}
	}
	return nil
}
