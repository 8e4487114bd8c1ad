package sqltables

import (
	"context"
	"slices"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// Row is a delivery without what is not needed to change it: Recipient and History.
type Row struct {
	queue.Delivery
	SiteID int64
	Facts  string
	// Last says that no other delivery of the message is open; Size and File are those of its body. Where Last is not
	// set, that is looked up.
	Last bool
	Size int64
	File string
}

// RowOf is a record as a Row.
func RowOf(r *stored.Record) Row {
	d := Row{Delivery: r.Delivery, SiteID: r.SiteID, Facts: r.Facts, Last: r.Last, Size: r.Message.Size, File: r.File}
	d.Recipient, d.History = mail.Recipient{}, nil
	return d
}

// Waiting reads the waiting deliveries among ids, with the columns that an action looks at and Update writes.
func (t *Tx) Waiting(ids []queue.DeliveryID) (out []*Row, err error) {
	err = t.c.Query(context.Background(), "SELECT "+stored.RecordColumns+", s.key FROM json_each(?) j CROSS JOIN "+
		"delivery d ON d.id = j.value CROSS JOIN message m ON m.seq = d.id >> 20 CROSS JOIN site s ON s.id = d.site"+
		" WHERE d.state <= 2", func(r database.Row) error {
		rec, err := stored.Scan(r)
		if err == nil {
			rec.Site = queue.SiteKey(r.Text(stored.StateWidth))
			out = append(out, &Row{Delivery: rec.Delivery, SiteID: rec.SiteID, Facts: rec.Facts})
		}
		return err
	}, sqlite.List(ids))
	return out, err
}

// Candidates calls pick for the deliveries that c selects, in its order, until it answers database.ErrStop.
func (t *Tx) Candidates(c *queue.Claim, pick func(r database.Row) error) error {
	ctx := context.Background()
	switch {
	case c.Overdue:
		return spans(c, pick, func(span string, end int64, pick func(r database.Row) error) error {
			return t.c.Query(ctx, "SELECT id, state FROM delivery WHERE deadline "+span+" AND state <= 2"+
				" ORDER BY deadline, id", pick, end)
		})
	case c.Site != "":
		site, err := t.FindSite(c.Site)
		if err != nil || site == nil {
			return err
		}
		return spans(c, pick, func(span string, end int64, pick func(r database.Row) error) error {
			return t.c.Query(ctx, "SELECT id, state FROM delivery INDEXED BY delivery_open"+
				" WHERE site = ? AND state <= 2 AND due "+span+" ORDER BY due, id", pick, site.ID, end)
		})
	}
	return t.c.Query(ctx, "SELECT d.id, d.state FROM json_each(?) j CROSS JOIN delivery d ON d.id = j.value"+
		" WHERE d.state <= 2 ORDER BY d.id", pick, sqlite.List(slices.Compact(slices.Sorted(slices.Values(c.IDs)))))
}

// spans asks for what is due, and then, if pick has not had enough, for what is beyond. One question for both would
// read everything in between.
func spans(c *queue.Claim, pick func(r database.Row) error,
	ask func(span string, end int64, pick func(r database.Row) error) error) error {
	enough := false
	until := func(r database.Row) error {
		err := pick(r)
		enough = err != nil
		return err
	}
	err := ask("<= ?", c.Now.UnixMicro(), until)
	if err != nil || enough || c.Beyond.IsZero() {
		return err
	}
	return ask("> ?", c.Beyond.UnixMicro(), until)
}

// StoreAttempt writes the newest attempt of a delivery; that it was made is counted already.
func (t *Tx) StoreAttempt(d *Row, facts any) error {
	return t.Exec("INSERT OR REPLACE INTO attempt (id, facts) VALUES (?, ?)", stored.AttemptSlot(d.ID, d.Attempts),
		facts)
}

// Update writes what changes in a delivery that had another state before, and keeps the counts.
func (t *Tx) Update(d *Row, was queue.State, e *Endings) error {
	t.Totals.States.Move(was, d.State)
	err := t.Exec("UPDATE delivery SET ("+stored.ChangingColumns+") = (?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
		append(stored.Changing(&d.Delivery), int64(d.ID))...)
	switch {
	case err != nil || d.State.Waiting():
		return err
	case d.Last:
		return t.dropBody(stored.SeqOf(d.ID), d.Size, d.File, e)
	case e.open == nil:
		e.open = map[int64]int64{}
	}
	e.open[stored.SeqOf(d.ID)]++
	return nil
}

// Move puts a delivery at another site; what follows from that is as d has it.
func (t *Tx) Move(d *Row, to *stored.Site) error {
	site, err := t.Site(to)
	if err != nil {
		return err
	}
	t.refs[d.SiteID]--
	t.refs[site.ID]++
	d.SiteID = site.ID
	t.stir(to.Key)
	if d.Facts, err = stored.Moved(d.Facts, &d.Delivery); err != nil {
		return err
	}
	return t.Exec("UPDATE delivery SET site = ?, facts = ? WHERE id = ?", site.ID, d.Facts, int64(d.ID))
}

// SetWish writes what the record keeps as wished, and whether it is still to be carried out.
func (t *Tx) SetWish(d *Row, kept *queue.Wish, pending bool) (err error) {
	if d.Facts, err = stored.WithWish(d.Facts, kept); err != nil {
		return err
	}
	if err := t.Exec("UPDATE delivery SET facts = ? WHERE id = ?", d.Facts, int64(d.ID)); err != nil {
		return err
	}
	if !pending {
		return t.Exec("DELETE FROM wish WHERE delivery = ?", int64(d.ID))
	}
	return t.Exec("INSERT OR REPLACE INTO wish (delivery) VALUES (?)", int64(d.ID))
}
