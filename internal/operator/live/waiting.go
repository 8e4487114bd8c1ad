package live

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/queue"
)

// WaitingView says what waits by age and by rule. It looks at what was accepted last, first, for as long as a page may
// take.
type WaitingView struct {
	Ages  []AgeCount    `json:"ages"`
	Rules []RuleWaiting `json:"rules"`
	// Complete is false where more waits than could be looked at; then the counts are of what was accepted since
	// SearchedTo.
	Complete   bool       `json:"complete"`
	SearchedTo *time.Time `json:"searched_to,omitempty"`
}

// AgeCount counts deliveries that have waited for at least From and less than Below, both in seconds.
type AgeCount struct {
	FromS  int64 `json:"from_s"`
	BelowS int64 `json:"below_s"` // 0: no bound
	Count  int   `json:"count"`
}

// RuleWaiting is what waits because of a rule. Rule "" is what no rule demands anything of.
type RuleWaiting struct {
	Rule    string     `json:"rule"`
	Count   int        `json:"count"`
	FirstAt *time.Time `json:"first_ends_at"` // when the first of them is given up
	LastAt  *time.Time `json:"last_ends_at"`
}

// waitingMost bounds the deliveries looked at.
const waitingMost = 100_000

func newAges() []AgeCount {
	var out []AgeCount
	from := int64(0)
	for _, d := range []time.Duration{10 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour, 0} {
		below := int64(d / time.Second)
		out = append(out, AgeCount{FromS: from, BelowS: below})
		from = below
	}
	return out
}

// Waiting looks at what waits.
func (d LiveDesk) Waiting(ctx context.Context) (WaitingView, error) {
	if err := d.who.Need(access.ReadTrace); err != nil {
		return WaitingView{}, err
	}
	out, now, rules := WaitingView{Ages: newAges(), Rules: []RuleWaiting{}}, time.Now(), map[string]*RuleWaiting{}
	f := queue.AllWaiting()
	f.Brief = true
	stop, err := d.who.Search(ctx, f, waitingMost, func(r *queue.Record) {
		age := int64(now.Sub(r.AcceptedAt) / time.Second)
		i := slices.IndexFunc(out.Ages, func(a AgeCount) bool { return a.BelowS == 0 || age < a.BelowS })
		out.Ages[i].Count++
		name := strings.Join(d.who.Told(r).Rules, ",") // as Trace.Rule
		one := rules[name]
		if one == nil {
			one = &RuleWaiting{Rule: name}
			rules[name] = one
		}
		one.add(trace.Instant(r.ExpiresAt))
	})
	for _, one := range rules {
		out.Rules = append(out.Rules, *one)
	}
	slices.SortFunc(out.Rules, func(a, b RuleWaiting) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule))
	})
	if out.Complete = stop == nil; stop != nil {
		out.SearchedTo = trace.Instant(stop.AcceptedAt)
	}
	return out, err
}

func (w *RuleWaiting) add(ends *time.Time) {
	w.Count++
	if ends == nil {
		return
	}
	if w.FirstAt == nil || ends.Before(*w.FirstAt) {
		w.FirstAt = ends
	}
	if w.LastAt == nil || ends.After(*w.LastAt) {
		w.LastAt = ends
	}
}
