package admin

import (
	"context"
	"maps"
	"slices"

	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// becauseLook is how many of the other recipients of messages are looked at for a page.
const becauseLook = 2000

// tainted reports whether a rule protects mail to a recipient whom it does not name; see queue.Delivery.Tainted.
func (t *Trace) tainted() bool {
	return t.Kind == kindNames[queue.Ordinary] && !t.Matched && len(t.Rules) > 0 && t.Requires != policy.Plaintext.String()
}

// because fills in, for deliveries that no rule names and that are protected all the same, because of whom. Whoever is told
// of rules sent the message, and so knows its recipients.
func (d *Desk) because(ctx context.Context, traces []Trace) error {
	tainted := map[queue.ID][]*Trace{}
	for i := range traces {
		if t := &traces[i]; t.tainted() {
			tainted[queue.ID(t.Message)] = append(tainted[queue.ID(t.Message)], t)
		}
	}
	if len(tainted) == 0 {
		return nil
	}
	for r, err := range d.s.cfg.Store.List(ctx, queue.Filter{IDs: slices.Collect(maps.Keys(tainted)), Limit: becauseLook}) {
		if err != nil {
			return err
		}
		for _, t := range tainted[r.Delivery.Message] {
			if len(t.Because) < rules.MaxBecause && r.Taints(t.Rules) {
				t.Because = append(t.Because, r.Recipient.Address.String())
			}
		}
	}
	return nil
}

// Why says why a recipient whom no rule names is protected, and what would leave it out; "" for others.
func (t *Trace) Why() string {
	if !t.tainted() {
		return ""
	}
	return rules.Because(t.Rules, t.Because)
}
