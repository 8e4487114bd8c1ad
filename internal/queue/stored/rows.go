package stored

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/database"
)

// RecordColumns are what Scan reads, for statements that call the tables d and m.
const RecordColumns = `d.id, d.site, d.state, d.due, d.deadline, d.expires, d.finished, d.attempts, d.noticed, d.reached,
	d.reason, d.facts, m.id, m.accepted, m.size, m.revision, m.facts, m.open, m.file`

// StateColumns are RecordColumns without what stands in the facts of the message, for who changes a delivery; there are
// StateWidth of them.
const (
	StateColumns = `d.id, d.site, d.state, d.due, d.deadline, d.expires, d.finished, d.attempts, d.noticed, d.reached,
	d.reason, d.facts, m.id, m.accepted, m.size, m.revision, '{}', m.open, m.file`
	StateWidth = 19
)

// Legible is an address as a column of any engine can hold it: what is no UTF-8, and NUL, is replaced. The facts have
// it as it is.
func Legible(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// MessageColumns are the columns of a message as Values fills them.
const MessageColumns = "seq, id, accepted, open, size, revision, file, message_id, sender, facts"

// Values are the values of a message of which so many deliveries are open; one that has ended has no body any more.
func (n *Message) Values(open int) []any {
	var file any
	if open > 0 && n.Body.File != "" {
		file = n.Body.File
	}
	return []any{n.Seq, string(n.ID), n.AcceptedAt.UnixMicro(), int64(open), n.Size, n.RulesRevision, file,
		n.MessageIDKey, n.Sender, n.Facts}
}

// DeliveryColumns are the columns of a delivery as Values fills them. In their middle are ChangingColumns.
const DeliveryColumns = "id, site, " + ChangingColumns + ", recipient, address, facts"

// Values are the values of a delivery whose site has a number.
func (d *Delivery) Values() []any {
	out := append(make([]any, 0, 14), int64(d.ID), d.At.ID)
	return append(append(out, Changing(&d.Delivery)...), d.RecipientKey, d.Canonical, d.Facts)
}

// ChangingColumns are what a transition changes, as Changing fills them.
const ChangingColumns = "state, due, deadline, expires, finished, attempts, noticed, reached, reason"

// Changing are the values of what a transition changes.
func Changing(d *queue.Delivery) []any {
	return []any{State(d.State), database.Stamp(d.Due), database.Stamp(d.Deadline), database.Stamp(d.ExpiresAt),
		database.Stamp(d.FinishedAt), int64(d.Attempts), Flag(d.Noticed), int64(d.Reached), string(d.Reason)}
}

// Record is a record with the columns that are not part of it.
type Record struct {
	queue.Record
	SiteID int64
	Facts  string
	Last   bool // no other delivery of the message is open
	File   string
}

// Work is what a worker gets with a lease on it; it is complete.
func (r *Record) Work(l queue.Lease) queue.Work {
	w := queue.Work{Delivery: r.Delivery, Message: r.Message, Lease: l, Was: r.State, NextHop: r.NextHop,
		SiteState: r.SiteState}
	w.State = queue.Sending
	return w
}

// Scan reads the columns of one row. Site, history and lease come later, by Complete.
func Scan(r database.Row) (*Record, error) {
	out := &Record{SiteID: r.Int(1), Facts: r.Text(11), Last: r.Int(17) == 1, File: r.Text(18)}
	d := &out.Delivery
	d.ID, d.State = queue.DeliveryID(r.Int(0)), LoadState(r.Int(2))
	d.Due, d.Deadline, d.ExpiresAt, d.FinishedAt = r.Time(3), r.Time(4), r.Time(5), r.Time(6)
	d.Attempts, d.Noticed = int(r.Int(7)), r.Int(8) != 0
	d.Reached, d.Reason = policy.Level(r.Int(9)), policy.Reason(r.Text(10))
	var df deliveryForm
	if err := Decode(out.Facts, &df); err != nil {
		return nil, err
	}
	df.fill(d)
	m := &out.Record.Message
	m.ID, m.AcceptedAt, m.Size, m.RulesRevision = queue.ID(r.Text(12)), r.Time(13), r.Int(14), r.Int(15)
	var mf messageForm
	if err := Decode(r.Text(16), &mf); err != nil {
		return nil, err
	}
	mf.fill(m)
	d.Message, d.AcceptedAt = m.ID, m.AcceptedAt
	return out, nil
}

// Reader reads full records of deliveries, remembering sites on the way. Use one for one call; Brief leaves histories
// out.
type Reader struct {
	Brief bool
	// Sites asks for the sites of a list of numbers: SiteColumns, and then the number. Attempts asks for rows of a list
	// of numbers: each and its facts.
	Sites, Attempts string
	// List is that of the engine.
	List  func(list any) any
	sites map[int64]*queue.Site
}

// Complete fills in what stands in other tables.
func (rs *Reader) Complete(ctx context.Context, db database.Reader, list []*Record) error {
	if err := rs.readSites(ctx, db, list); err != nil {
		return err
	}
	for _, r := range list {
		site := rs.sites[r.SiteID]
		if site == nil {
			return fmt.Errorf("stored: site %d is gone", r.SiteID)
		}
		r.Site, r.NextHop, r.Requirement, r.SiteState = site.Key, site.NextHop, site.Requirement, site.SiteState
	}
	if rs.Brief {
		return nil
	}
	return rs.readHistories(ctx, db, list)
}

// sitesHeld bounds what one call remembers of sites.
const sitesHeld = 1024

// readSites reads the sites of a list that are not remembered.
func (rs *Reader) readSites(ctx context.Context, db database.Reader, list []*Record) error {
	if rs.sites == nil || len(rs.sites)+len(list) > sitesHeld {
		rs.sites = make(map[int64]*queue.Site, len(list))
	}
	var missing []int64
	for _, r := range list {
		if _, known := rs.sites[r.SiteID]; !known {
			rs.sites[r.SiteID] = nil
			missing = append(missing, r.SiteID)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return db.Query(ctx, rs.Sites, func(r database.Row) error {
		site, err := ScanSite(r)
		rs.sites[r.Int(siteWidth)] = site
		return err
	}, rs.List(missing))
}

// SiteColumns are what ScanSite reads, for statements that call the table s.
const SiteColumns = "s.key, s.next_hop, s.requirement, s.failures, s.since, s.retry_at, s.last"

// siteWidth is how many they are.
const siteWidth = 7

// ScanSite reads the columns of one site, and its counts not.
func ScanSite(r database.Row) (*queue.Site, error) {
	req, err := requirement(r.Text(2))
	if err != nil {
		return nil, err
	}
	s := &queue.Site{Key: queue.SiteKey(r.Text(0)), NextHop: r.Text(1), Requirement: req}
	s.Failures, s.Since, s.RetryAt = int(r.Int(3)), r.Time(4), r.Time(5)
	if text := r.Text(6); text != "" {
		s.Last = new(attempt.Attempt)
		err = Decode(text, s.Last)
	}
	return s, err
}

// readHistories reads the kept attempts of a list, oldest first.
func (rs *Reader) readHistories(ctx context.Context, db database.Reader, list []*Record) error {
	type row struct {
		id    int64
		facts attempt.Attempt
	}
	var rows []int64
	var found []row
	of := map[queue.DeliveryID]*Record{}
	for _, r := range list {
		for slot := range min(r.Attempts, queue.HistoryKept) {
			of[r.ID] = r
			rows = append(rows, int64(r.ID)*Slots+int64(slot))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	err := db.Query(ctx, rs.Attempts, func(r database.Row) error {
		found = append(found, row{id: r.Int(0)})
		return Decode(r.Text(1), &found[len(found)-1].facts)
	}, rs.List(rows))
	slices.SortFunc(found, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	for i := range found {
		r := of[queue.DeliveryID(found[i].id/Slots)]
		r.History = append(r.History, found[i].facts)
	}
	for _, r := range of {
		r.History = inOrder(r.History, r.Attempts)
	}
	return err
}

// inOrder turns the slots of a history, read by number, into order of time.
func inOrder(h []attempt.Attempt, attempts int) []attempt.Attempt {
	if attempts <= queue.HistoryKept || len(h) < queue.HistoryKept {
		return h
	}
	newest := queue.HistorySlot(attempts - 1)
	return slices.Concat(h[:1], h[newest+1:], h[1:newest+1])
}
