package storetest

import (
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"postern/internal/queue"
)

// claim is the operation of Model in which the answers may differ for a moment.
func (m *model) claim() {
	c := queue.Claim{Now: m.now, Until: m.now.Add(time.Duration(m.rng.IntN(40)) * time.Second),
		Limit: 1 + m.rng.IntN(6)}
	if m.chance(30) {
		c.Beyond = m.now.Add(time.Duration(m.rng.IntN(40)) * time.Second)
	}
	var named []string
	switch m.rng.IntN(4) {
	case 0:
		c.Overdue = true
	case 1:
		if len(m.order) == 0 {
			return
		}
		for range 1 + m.rng.IntN(4) {
			named = append(named, pick(m, m.order))
		}
	default:
		c.Site = queue.NewSiteKey(m.hop(), m.requirement())
	}
	var work [2][]queue.Work
	ask := func(i int, s queue.Store) (_ any, err error) {
		mine := c
		for _, name := range named {
			mine.IDs = append(mine.IDs, m.ids[i][name])
		}
		work[i], err = s.Claim(m.Context(), mine)
		return m.neutral(i, work[i]), err
	}
	difference, ok := m.differ(ask)
	if difference != "" && c.Site != "" && len(work[0]) == c.Limit && len(work[1]) == c.Limit {
		m.passedOver(&c, work)
		difference, ok = m.differ(ask)
	}
	if difference != "" {
		m.Error(difference)
	}
	if difference != "" || !ok {
		return
	}
	if m.prolongs && c.Site != "" {
		m.extendAll(work, c.Until)
	}
	worker := m.rng.IntN(2)
	for n := range work[0] {
		m.holding[worker] = append(m.holding[worker], pairLease{work[0][n].Lease, work[1][n].Lease})
	}
}

// neutral is work without what differs between the stores, and with the names of its deliveries.
func (m *model) neutral(i int, work []queue.Work) (out []any) {
	for _, w := range work {
		name := m.names[i][w.ID]
		w.ID, w.Lease = 0, queue.Lease{}
		out = append(out, name, w)
	}
	return out
}

// passedOver is a claim at a site that took as many as it may, and others than the reference. A store may pass over
// what was accepted a moment ago, and is on its way from one place to another (see queue.Store); what it took must be
// right all the same. Everything is given back, and the store comes to rest: asked again it has no such excuse.
func (m *model) passedOver(c *queue.Claim, work [2][]queue.Work) {
	m.extendAll(work, c.Now) // they run out at once
	same := queue.Claim{Now: c.Now, Until: c.Until, Limit: c.Limit}
	for _, w := range work[1] {
		if w.Site != c.Site || !c.Takes(w.Due) {
			m.Errorf("a claim at %s at %v took what is due at %s at %v", c.Site, c.Now, w.Site, w.Due)
		}
		same.IDs = append(same.IDs, m.ids[0][m.names[1][w.ID]])
	}
	took, err := m.stores[0].Claim(m.Context(), same)
	slices.SortStableFunc(took, func(a, b queue.Work) int { return a.Due.Compare(b.Due) })
	if diff := gocmp.Diff(m.neutral(0, took), m.neutral(1, work[1]), compare()...); err != nil || diff != "" {
		m.Errorf("a claim took what is not to be had, or not in order (-reference +store): %v\n%s", err, diff)
	}
	m.extendAll([2][]queue.Work{took}, c.Now)
	if _, err := m.stores[1].Sites(m.Context()); err != nil { // counts what is stored, where that moves it all first
		m.Error(err)
	}
}

// extendAll lets the leases of a claim end at a time.
func (m *model) extendAll(work [2][]queue.Work, until time.Time) {
	for i, s := range m.stores {
		var leases []queue.Lease
		for _, w := range work[i] {
			leases = append(leases, w.Lease)
		}
		if err := s.Extend(m.Context(), leases, until); err != nil {
			m.Error(err)
		}
	}
}
