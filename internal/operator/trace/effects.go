package trace

import (
	"strconv"
	"strings"

	"postern/internal/policy"
	"postern/internal/queue"
)

// quarantined says which rule holds a delivery, until when, and what comes then; "" for one that no rule holds.
func quarantined(r *queue.Record) string {
	q := r.Quarantine()
	if q == nil {
		return ""
	}
	end := r.AcceptedAt.UTC().AddDate(0, 0, q.Days)
	return "in quarantine by the rule " + q.Rule + " until " + end.Format("2006-01-02 15:04") + " UTC, then " +
		string(q.Then)
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

// Quarantined reports whether a rule holds the delivery now.
func (t *Delivery) Quarantined() bool { return strings.HasPrefix(t.Held, "in quarantine") }
