package pgstore

import (
	"cmp"
	"maps"
	"slices"

	"postern/internal/operator/audit"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/sqlrecords"
	"postern/internal/queue/stored"
)

// plan is what a transaction is going to write: few statements for any number of changes. The zero plan is empty.
type plan struct {
	newSites   map[queue.SiteKey]*stored.Site
	newMail    []*stored.Message
	handedOver []string // drafts that are bodies of messages now
	attempts   map[int64]any
	deliveries map[queue.DeliveryID]*queue.Delivery
	moved      map[queue.DeliveryID]queue.SiteKey
	facts      map[queue.DeliveryID]string
	wishes     map[queue.DeliveryID]*queue.Wish // nil: nothing is wished any more
	ended      []int64                          // deliveries whose leases end
	extended   []extended
	siteStates map[queue.SiteKey]*stored.SiteState
	entries    []audit.Entry
	claimed    []claimed
	wanted     []*wanted // of newMail

	// What finish writes.
	ends      map[int64]int64 // by message: deliveries that ended
	states    stored.Counts
	bodyBytes int64
}

type extended struct {
	leases []queue.Lease
	until  int64
}

func (p *plan) empty() bool {
	return len(p.newMail)+len(p.handedOver)+len(p.attempts)+len(p.deliveries)+len(p.moved)+len(p.facts)+
		len(p.wishes)+len(p.ended)+len(p.extended)+len(p.siteStates)+len(p.entries)+len(p.claimed)+len(p.wanted)+
		len(p.ends) == 0 && p.states == stored.Counts{}
}

// sorted are the keys of a map in order, so that all transactions lock rows in the same.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// put sets an entry of a map that may not be there yet.
func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}

// move notes a change of state in the counts, and that a delivery ended.
func (p *plan) move(d *queue.Delivery, was queue.State) {
	p.states.Move(was, d.State)
	put(&p.deliveries, d.ID, d)
	if !d.State.Waiting() {
		seq := stored.SeqOf(d.ID)
		put(&p.ends, seq, p.ends[seq]+1)
	}
}

// onlyClaims reports whether nothing but leases is given.
func (p *plan) onlyClaims() bool {
	rest := *p
	rest.claimed = nil
	return len(p.claimed) > 0 && rest.empty()
}

// flush adds the statements that carry out the plan to a batch. What finish writes stays.
func (t *txn) flush(b *postgres.Batch) error {
	add := []func(b *postgres.Batch) error{t.addSites, t.addMail, t.addDeliveries, t.addKept, t.addOutcomes, t.addFacts,
		t.addWishes, t.addSiteStates, t.addEntries, t.addLeases}
	for _, f := range add {
		if err := f(b); err != nil {
			return err
		}
	}
	kept := plan{ends: t.ends, states: t.states, bodyBytes: t.bodyBytes}
	if !t.plan.empty() {
		t.wrote = true
	}
	t.plan = kept
	return nil
}

// addRows adds a statement for many rows, if there are any.
func addRows(b *postgres.Batch, text, types string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	args, err := postgres.Columns(types, rows)
	if err == nil {
		b.Add(text, nil, args...)
	}
	return err
}

// addSites makes the rows of sites that may be missing.
func (t *txn) addSites(b *postgres.Batch) error {
	var rows [][]any
	for _, key := range sorted(t.newSites) {
		if !t.sites[key] {
			site := t.newSites[key]
			rows = append(rows, []any{string(key), site.NextHop, site.Requirement})
			t.sites[key] = true
		}
	}
	return addRows(b, "INSERT INTO site (key, next_hop, requirement)"+
		" SELECT * FROM unnest(?::text[], ?::text[], ?::text[]) ON CONFLICT (key) DO NOTHING", "ttt", rows)
}

// addMail stores new messages, and what they are the first to need.
func (t *txn) addMail(b *postgres.Batch) error {
	if len(t.handedOver) > 0 {
		b.Add("DELETE FROM draft WHERE body::text = ANY(?::text[])", nil, t.handedOver)
	}
	var messages, bodies [][]any
	for _, n := range t.newMail {
		messages = append(messages, n.Values(n.Open()))
		if n.Body.File == "" {
			bodies = append(bodies, []any{n.Seq, n.Body.Blob()})
		}
	}
	if err := addRows(b, "INSERT INTO message ("+stored.MessageColumns+") SELECT * FROM unnest(?::bigint[], "+
		"?::text[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::bigint[], ?::text[], ?::text[])",
		"itiiiititt", messages); err != nil {
		return err
	}
	if err := addRows(b, "INSERT INTO body (seq, data) SELECT * FROM unnest(?::bigint[], ?::bytea[])", "ib",
		bodies); err != nil {
		return err
	}
	if len(t.newMail) > 0 {
		b.Add("UPDATE totals SET skew = ahead.by FROM (SELECT max(accepted) - ?1::bigint AS by FROM message) ahead"+
			" WHERE ahead.by > totals.skew + ?2::bigint", nil, earliest(t.newMail), skewStep.Microseconds())
	}
	return nil
}

func earliest(ms []*stored.Message) int64 {
	least := ms[0].AcceptedAt
	for _, m := range ms {
		if m.AcceptedAt.Before(least) {
			least = m.AcceptedAt
		}
	}
	return least.UnixMicro()
}

// addDeliveries stores the deliveries of new messages. A site that is not there makes the statement fail.
func (t *txn) addDeliveries(b *postgres.Batch) error {
	var rows [][]any
	for _, n := range t.newMail {
		for i := range n.Deliveries {
			d := &n.Deliveries[i]
			row := d.Values()
			row[1] = string(d.Site)
			rows = append(rows, row)
		}
	}
	return addRows(b, "INSERT INTO delivery ("+stored.DeliveryColumns+")"+
		" SELECT id, (SELECT s.id FROM site s WHERE s.key = u.site), "+stored.ChangingColumns+
		", recipient, address, facts FROM unnest(?::bigint[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[], "+
		"?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::bigint[], ?::text[], "+
		"?::text[]) u("+stored.DeliveryColumns+")", "itiiiiiiiititt", rows)
}

// addOutcomes writes what attempts told and how deliveries stand.
func (t *txn) addOutcomes(b *postgres.Batch) error {
	var rows [][]any
	for _, slot := range sorted(t.attempts) {
		rows = append(rows, []any{slot, t.attempts[slot]})
	}
	if err := addRows(b, "INSERT INTO attempt (id, facts) SELECT * FROM unnest(?::bigint[], ?::text[])"+
		" ON CONFLICT (id) DO UPDATE SET facts = excluded.facts", "it", rows); err != nil {
		return err
	}
	rows = nil
	for _, id := range sorted(t.deliveries) {
		rows = append(rows, append([]any{int64(id)}, stored.Changing(t.deliveries[id])...))
	}
	return addRows(b, "UPDATE delivery d SET ("+stored.ChangingColumns+") = (u.state, u.due, u.deadline, "+
		"u.expires, u.finished, u.attempts, u.noticed, u.reached, u.reason) FROM unnest(?::bigint[], ?::bigint[], "+
		"?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[]) "+
		"u(id, "+stored.ChangingColumns+") WHERE d.id = u.id", "iiiiiiiiit", rows)
}

// addFacts moves deliveries to other sites and writes what else stands in their facts.
func (t *txn) addFacts(b *postgres.Batch) error {
	var rows [][]any
	for _, id := range sorted(t.facts) {
		rows = append(rows, []any{int64(id), t.facts[id]})
	}
	if err := addRows(b, "UPDATE delivery d SET facts = u.facts FROM unnest(?::bigint[], ?::text[]) u(id, facts)"+
		" WHERE d.id = u.id", "it", rows); err != nil {
		return err
	}
	rows = nil
	for _, id := range sorted(t.moved) {
		rows = append(rows, []any{int64(id), string(t.moved[id])})
	}
	return addRows(b, "UPDATE delivery d SET site = (SELECT s.id FROM site s WHERE s.key = u.site)"+
		" FROM unnest(?::bigint[], ?::text[]) u(id, site) WHERE d.id = u.id", "it", rows)
}

// addWishes writes what is still to be carried out.
func (t *txn) addWishes(b *postgres.Batch) error {
	var done []int64
	var rows [][]any
	for _, id := range sorted(t.wishes) {
		w := t.wishes[id]
		if w == nil {
			done = append(done, int64(id))
		} else {
			rows = append(rows, []any{int64(id), stored.Flag(w.Withdraws())})
		}
	}
	if len(done) > 0 {
		b.Add("DELETE FROM wish WHERE delivery = ANY(?::bigint[])", nil, done)
	}
	return addRows(b, "INSERT INTO wish (delivery, withdraws)"+
		" SELECT id, w = 1 FROM unnest(?::bigint[], ?::bigint[]) u(id, w)"+
		" ON CONFLICT (delivery) DO UPDATE SET withdraws = excluded.withdraws", "ii", rows)
}

// addSiteStates replaces the states of sites, where they are others.
func (t *txn) addSiteStates(b *postgres.Batch) error {
	var rows [][]any
	for _, key := range sorted(t.siteStates) {
		st := t.siteStates[key]
		rows = append(rows, []any{string(key), int64(st.Failures), database.Stamp(st.Since), database.Stamp(st.RetryAt),
			st.Facts})
	}
	const state = "(u.failures, u.since, u.retry_at, u.last)"
	return addRows(b, "UPDATE site s SET (failures, since, retry_at, last) = "+state+
		" FROM unnest(?::text[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[])"+
		" u(key, failures, since, retry_at, last) WHERE s.key = u.key"+
		" AND (s.failures, s.since, s.retry_at, s.last) IS DISTINCT FROM "+state, "tiiit", rows)
}

// addEntries writes to the audit trail.
func (t *txn) addEntries(b *postgres.Batch) error {
	for _, e := range t.entries {
		text, args, err := sqlrecords.Appending(e)
		if err != nil {
			return err
		}
		b.Add(text, nil, args...)
	}
	return nil
}

// addLeases prolongs leases, checks those that were not looked at, ends and gives leases, in this order: who takes one
// over changes its row, or that of its delivery.
func (t *txn) addLeases(b *postgres.Batch) error {
	for _, e := range t.extended {
		ids, tokens := pairs(e.leases)
		b.Add("UPDATE lease l SET until = ?, worker = replace(l.worker, '"+keptMark+"', '')"+
			" FROM unnest(?::bigint[], ?::bigint[]) u(id, token) WHERE l.delivery = u.id AND l.token = u.token", nil,
			e.until, ids, tokens)
	}
	ids, tokens := pairs(t.unsure)
	if len(ids) > 0 && len(t.ended) == len(ids) { // each is checked as it ends
		b.Add(endSure, nil, ids, tokens, int64(len(ids)))
	} else {
		if len(ids) > 0 && len(t.ended)+len(t.extended) > 0 {
			b.Add(sureOf, nil, ids, tokens, int64(len(ids)))
		}
		if len(t.ended) > 0 {
			b.Add("DELETE FROM lease WHERE delivery = ANY(?::bigint[])", nil, t.ended)
		}
	}
	t.left, t.unsure = append(t.left, t.ended...), nil
	for _, c := range t.claimed {
		b.Add(c.text, c.each, c.args...)
	}
	return nil
}
