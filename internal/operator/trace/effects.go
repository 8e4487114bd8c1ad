package trace

import (
	"strconv"
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
)

// Quarantine is the hold that a rule put on a delivery.
type Quarantine struct {
	Rule  string     `json:"rule"`
	Until *time.Time `json:"until"`
	Then  string     `json:"then"` // return, delete, release
}

// String is the quarantine as a person reads it.
func (q *Quarantine) String() string {
	return "in quarantine by the rule " + q.Rule + " until " + q.Until.Format("2006-01-02 15:04") + " UTC, then " +
		q.Then
}

// quarantineOf is nil for a delivery that no rule holds. A deadline is when the gateway looks at it next, which may be
// before its time is over.
func quarantineOf(r *queue.Record) *Quarantine {
	q := r.Quarantine()
	if q == nil || r.State != queue.Held {
		return nil
	}
	return &Quarantine{Rule: q.Rule, Until: Instant(r.AcceptedAt.AddDate(0, 0, q.Days)), Then: string(q.Then)}
}

// byRule tells how a rule ended a delivery, which no server had a part in.
func (t *Delivery) byRule(r *queue.Record) {
	if r.State != queue.Failed || r.Reason != "" || r.Attempts > 0 {
		return
	}
	if e := r.Rejected(); e != nil {
		t.Text, t.Status = "the rule "+e.Rule+" rejects it: "+e.Text, "5.7.1"
	} else if e := r.Effects.Done(policy.EffectHold); e != nil {
		t.Text, t.Status = "it was returned from the quarantine of the rule "+e.Rule, "5.7.1"
	}
}

// Did is what rules did with the mail, or would have, a clause each.
func (t *Delivery) Did() (out []string) {
	for i := range t.Effects {
		e := &t.Effects[i]
		word := e.String()
		if e.Test {
			word = "under test: " + word
		}
		out = append(out, word+" (rule "+strconv.Quote(e.Rule)+")")
	}
	return out
}
