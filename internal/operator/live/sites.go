package live

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/queue"
)

// SiteView is a site with what waits there and why.
type SiteView struct {
	Key      string     `json:"key"`
	NextHop  string     `json:"next_hop"`
	Requires string     `json:"requires"`
	Waiting  int        `json:"waiting"`         // deliveries, those that are held too
	Held     int        `json:"held"`            // of them: no try is planned until they are released
	Earliest *time.Time `json:"earliest_due_at"` // of what waits
	Failures int        `json:"failures"`
	Since    *time.Time `json:"failing_since"`
	RetryAt  *time.Time `json:"next_attempt_at"`
	Reason   string     `json:"reason"`
	Text     string     `json:"text"`
	Hint     string     `json:"hint,omitempty"`
	Who      string     `json:"who,omitempty"`
}

// InTrouble reports whether mail waits at a site that fails. Where nothing waits nobody misses anything, however the
// last try there ended: what is left is a date before which the next message is not tried.
func (v *SiteView) InTrouble() bool { return v.Failures > 0 && v.Waiting > 0 }

func siteView(s *queue.Site) SiteView {
	v := SiteView{Key: string(s.Key), NextHop: s.NextHop, Requires: s.Requirement.Channel.String(),
		Waiting: s.Queued + s.Held, Held: s.Held, Earliest: trace.Instant(s.Earliest),
		Failures: s.Failures, Since: trace.Instant(s.Since), RetryAt: trace.Instant(s.RetryAt)}
	if s.Last != nil && s.Last.Reason != "" {
		info := s.Last.Info()
		v.Reason, v.Text, v.Who = string(s.Last.Reason), cmp.Or(s.Last.Text, info.Text), string(info.Who)
		v.Hint = s.Last.Hint(s.Requirement.Asker())
	}
	return v
}

// ownMost bounds the waiting deliveries that are gathered for a principal whose scope is not everything.
const ownMost = 5000

// SiteList is where mail waits. Complete is false where more waits than could be looked at; then what was accepted
// before SearchedTo is not counted, and a site may be missing.
type SiteList struct {
	Items      []SiteView
	Complete   bool
	SearchedTo *time.Time
}

// Waits counts the deliveries that wait, and how many of them are held.
func (l *SiteList) Waits() (all, held int) {
	for i := range l.Items {
		all, held = all+l.Items[i].Waiting, held+l.Items[i].Held
	}
	return all, held
}

// Sites lists where mail waits, what is in trouble first, then by how much waits; sites that failed and where nothing
// waits come last. A scope of domains is told of the sites of its own mail, with counts of that, as far as it is looked
// at within patience.
func (d LiveDesk) Sites(ctx context.Context, patience time.Duration) (SiteList, error) {
	out := SiteList{Items: []SiteView{}, Complete: true}
	if err := d.who.Need(access.ReadTrace); err != nil {
		return out, err
	}
	if !d.who.Scope.All {
		return d.ownSites(ctx, patience)
	}
	all, err := d.s.cfg.Store.Sites(ctx)
	if err != nil {
		return out, fmt.Errorf("cannot list the sites: %w", err)
	}
	for i := range all {
		out.Items = append(out.Items, siteView(&all[i]))
	}
	sortSites(out.Items)
	return out, nil
}

func sortSites(list []SiteView) {
	slices.SortStableFunc(list, func(a, b SiteView) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(b.Waiting, a.Waiting),
			cmp.Compare(a.NextHop, b.NextHop))
	})
}

func rank(v *SiteView) int {
	switch {
	case v.InTrouble():
		return 0
	case v.Waiting > 0:
		return 1
	}
	return 2
}

// ownSites gathers the sites of waiting mail within the scope, as the deliveries there are told of them.
func (d LiveDesk) ownSites(ctx context.Context, patience time.Duration) (SiteList, error) {
	out, at := SiteList{Items: []SiteView{}}, map[string]*queue.Site{}
	f := queue.AllWaiting()
	f.Brief = true
	stop, err := d.who.SearchFor(ctx, f, ownMost, patience, func(r *queue.Record) bool {
		told := d.who.Told(r)
		key, hop := string(told.Site), told.NextHop
		if hop == "" { // servers of others are called by the domain they receive for, and so is what waits there
			hop = "domain " + r.Recipient.Address.Domain.String()
			key = hop + " " + r.Requirement.Channel.String()
		}
		site := at[key]
		if site == nil {
			site = &queue.Site{Key: queue.SiteKey(key), NextHop: hop, Requirement: r.Requirement,
				SiteState: told.SiteState}
			at[key] = site
		}
		if r.Due.IsZero() {
			site.Held++
			return true
		}
		site.Queued++
		if site.Earliest.IsZero() || r.Due.Before(site.Earliest) {
			site.Earliest = r.Due
		}
		return true
	})
	for _, key := range slices.Sorted(maps.Keys(at)) {
		out.Items = append(out.Items, siteView(at[key]))
	}
	sortSites(out.Items)
	if out.Complete = stop == nil; stop != nil {
		out.SearchedTo = trace.Instant(stop.AcceptedAt)
	}
	return out, err
}
