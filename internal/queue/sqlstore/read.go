package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
)

// idList is delivery IDs as a JSON array, the form in which a statement takes a list.
func idList[T ~int64](ids []T) string {
	text, _ := json.Marshal(ids) // integers cannot fail to marshal
	return string(text)
}

// The columns that record reads, for statements that call the tables d and m.
const recordColumns = `d.id, d.site, d.state, d.due, d.deadline, d.expires, d.finished, d.attempts, d.noticed, d.reached,
	d.reason, d.facts, m.id, m.accepted, m.size, m.revision, m.facts, m.open, m.file`

// deliveryReader reads full records of deliveries through one connection, remembering sites on the way. Use one for one call.
type deliveryReader struct {
	s     *Store
	sites map[int64]*queue.Site
	brief bool // leaves histories out
}

func (s *Store) records() *deliveryReader {
	return &deliveryReader{s: s, sites: map[int64]*queue.Site{}}
}

// stored is a record with the columns that are not part of it.
type stored struct {
	queue.Record
	site  int64
	facts string
	last  bool // no other delivery of the message is open
	file  string
}

// scan reads the columns of one row. Site, history and lease come later, by complete.
func scan(r database.Row) (*stored, error) {
	out := &stored{site: r.Int(1), facts: r.Text(11), last: r.Int(17) == 1, file: r.Text(18)}
	d := &out.Delivery
	d.ID, d.State = queue.DeliveryID(r.Int(0)), loadedState(r.Int(2))
	d.Due, d.Deadline, d.ExpiresAt, d.FinishedAt = r.Time(3), r.Time(4), r.Time(5), r.Time(6)
	d.Attempts, d.Noticed = int(r.Int(7)), r.Int(8) != 0
	d.Reached, d.Reason = policy.Level(r.Int(9)), policy.Reason(r.Text(10))
	var df deliveryForm
	if err := decode(out.facts, &df); err != nil {
		return nil, err
	}
	df.fill(d)
	m := &out.Record.Message
	m.ID, m.AcceptedAt, m.Size, m.RulesRevision = queue.ID(r.Text(12)), r.Time(13), r.Int(14), r.Int(15)
	var mf messageForm
	if err := decode(r.Text(16), &mf); err != nil {
		return nil, err
	}
	mf.fill(m)
	d.Message, d.AcceptedAt = m.ID, m.AcceptedAt
	return out, nil
}

// complete fills in what stands in other tables.
func (rs *deliveryReader) complete(ctx context.Context, c *sqlite.Conn, r *stored) error {
	site, err := rs.site(ctx, c, r.site)
	if err != nil {
		return err
	}
	r.Site, r.NextHop, r.Requirement, r.SiteState = site.Key, site.NextHop, site.Requirement, site.SiteState
	if r.Attempts > 0 && !rs.brief {
		r.History, err = history(ctx, c, r.ID)
		r.History = inOrder(r.History, r.Attempts)
	}
	return err
}

// sitesHeld bounds what one call remembers of sites.
const sitesHeld = 1024

func (rs *deliveryReader) site(ctx context.Context, c *sqlite.Conn, id int64) (*queue.Site, error) {
	if s := rs.sites[id]; s != nil {
		return s, nil
	}
	var found *queue.Site
	err := c.Query(ctx, "SELECT "+siteColumns+" FROM site s WHERE id = ?", func(r database.Row) (err error) {
		found, err = scanSite(r)
		return err
	}, id)
	if err == nil && found == nil {
		err = fmt.Errorf("sqlstore: site %d is gone", id)
	}
	if err != nil {
		return nil, err
	}
	if len(rs.sites) >= sitesHeld {
		clear(rs.sites)
	}
	rs.sites[id] = found
	return found, nil
}

const siteColumns = "s.key, s.next_hop, s.requirement, s.failures, s.since, s.retry_at, s.last"

func scanSite(r database.Row) (*queue.Site, error) {
	req, err := decodeRequirement(r.Text(2))
	if err != nil {
		return nil, err
	}
	s := &queue.Site{Key: queue.SiteKey(r.Text(0)), NextHop: r.Text(1), Requirement: req}
	s.Failures, s.Since, s.RetryAt = int(r.Int(3)), r.Time(4), r.Time(5)
	if text := r.Text(6); text != "" {
		s.Last = new(attempt.Attempt)
		err = decode(text, s.Last)
	}
	return s, err
}

// slots is how many attempt rows a delivery can have numbers for; at most queue.HistoryKept are used.
const slots = 16

// history reads the kept attempts of a delivery, oldest first.
func history(ctx context.Context, c *sqlite.Conn, id queue.DeliveryID) ([]attempt.Attempt, error) {
	var out []attempt.Attempt
	first := int64(id) * slots
	err := c.Query(ctx, "SELECT facts FROM attempt WHERE id BETWEEN ? AND ? ORDER BY id", func(r database.Row) error {
		out = append(out, attempt.Attempt{})
		return decode(r.Text(0), &out[len(out)-1])
	}, first, first+slots-1)
	return out, err
}

// inOrder turns the slots of a history, read by number, into order of time.
func inOrder(h []attempt.Attempt, attempts int) []attempt.Attempt {
	if attempts <= queue.HistoryKept || len(h) < queue.HistoryKept {
		return h
	}
	newest := queue.HistorySlot(attempts - 1)
	return slices.Concat(h[:1], h[newest+1:], h[1:newest+1])
}

// load reads claimed deliveries and completes their leases.
func (s *Store) load(ctx context.Context, leases []queue.Lease) ([]queue.Work, error) {
	ids, found := make([]queue.DeliveryID, len(leases)), make([]*stored, 0, len(leases))
	for i, l := range leases {
		ids[i] = l.Delivery
	}
	rs := s.records()
	err := s.read(ctx, func(c *sqlite.Conn) error {
		err := c.Query(ctx, "SELECT "+recordColumns+" FROM json_each(?) j CROSS JOIN delivery d ON d.id = j.value"+
			" CROSS JOIN message m ON m.seq = d.id >> 20", func(r database.Row) error {
			rec, err := scan(r)
			found = append(found, rec)
			return err
		}, idList(ids))
		for i := 0; i < len(found) && err == nil; i++ {
			err = rs.complete(ctx, c, found[i])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(found) != len(leases) {
		return nil, fmt.Errorf("sqlstore: found %d of %d claimed deliveries", len(found), len(leases))
	}
	return s.work(leases, found), nil
}

// work makes what the worker gets, and lets the leases know the rows.
func (s *Store) work(leases []queue.Lease, found []*stored) []queue.Work {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]queue.Work, len(found))
	for i, r := range found {
		if l := s.leases[r.ID]; l != nil && l.token == leases[i].Token {
			l.row = deliveryRow{Delivery: r.Delivery, site: r.site, facts: r.facts, last: r.last, size: r.Message.Size, file: r.file}
			l.row.Recipient, l.row.History = queue.Delivery{}.Recipient, nil
		}
		out[i] = queue.Work{Delivery: r.Delivery, Message: r.Message, Lease: leases[i], Was: r.State,
			NextHop: r.NextHop, SiteState: r.SiteState}
		out[i].State = queue.Sending
	}
	return out
}

// Sites lists the sites where mail waits or that fail, by key, in one pass over the index of what waits.
func (s *Store) Sites(ctx context.Context) ([]queue.Site, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if err := s.settleDown(ctx); err != nil {
		return nil, err
	}
	var out []queue.Site
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return c.Query(ctx, "SELECT "+siteColumns+`, w.queued, w.earliest, w.held FROM site s LEFT JOIN
			(SELECT site, count(due) AS queued, min(due) AS earliest, count(*) - count(due) AS held FROM delivery INDEXED BY delivery_open
			WHERE state <= 2 GROUP BY site) w ON w.site = s.id
			WHERE s.failures > 0 OR w.site IS NOT NULL ORDER BY s.key`, func(r database.Row) error {
			site, err := scanSite(r)
			if err != nil {
				return err
			}
			site.Queued, site.Earliest, site.Held = int(r.Int(7)), r.Time(8), int(r.Int(9))
			out = append(out, *site)
			return nil
		})
	})
	return out, err
}
