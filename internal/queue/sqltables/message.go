package sqltables

import (
	"context"

	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// Store writes the rows of a message that has a number, as it stands.
func (t *Tx) Store(n *stored.Message) error {
	open := n.Open()
	if open > 0 {
		t.Totals.BodyBytes += n.Size
		if n.Body.File == "" {
			err := t.Exec("INSERT INTO body (seq, data) VALUES (?, ?)", n.Seq, n.Body.Blob())
			if err != nil {
				return err
			}
		}
	}
	err := t.Exec("INSERT INTO message ("+stored.MessageColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		n.Values(open)...)
	for i := range n.Deliveries {
		if err == nil {
			err = t.storeDelivery(&n.Deliveries[i])
		}
	}
	return err
}

func (t *Tx) storeDelivery(d *stored.Delivery) error {
	site, err := t.Site(d.At)
	if err != nil {
		return err
	}
	d.At.ID = site.ID
	t.refs[site.ID]++
	t.Totals.States[stored.State(d.State)]++
	if d.State.Waiting() {
		t.stir(d.Site)
	}
	if d.Tried != nil {
		if err := t.Exec("INSERT INTO attempt (id, facts) VALUES (?, ?)", stored.AttemptSlot(d.ID, 1),
			d.Tried); err != nil {
			return err
		}
	}
	return t.Exec("INSERT INTO delivery ("+stored.DeliveryColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		d.Values()...)
}

// Endings collects what ended in one transaction.
type Endings struct {
	Files []string        // of bodies nobody needs any more: for deletion after the commit
	open  map[int64]int64 // by message: deliveries that ended, where others may be open
}

// CloseMessages counts ended deliveries down in their messages and drops the bodies of those that have none left.
func (t *Tx) CloseMessages(e *Endings) error {
	for seq, n := range e.open {
		var open, size int64
		var file string
		err := t.c.Query(context.Background(), "SELECT open, size, file FROM message WHERE seq = ?",
			func(r database.Row) error {
				open, size, file = r.Int(0)-n, r.Int(1), r.Text(2)
				return database.ErrStop
			}, seq)
		if err == nil && open > 0 {
			err = t.Exec("UPDATE message SET open = ? WHERE seq = ?", open, seq)
		} else if err == nil {
			err = t.dropBody(seq, size, file, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropBody marks a message as ended and deletes its body, or names its file.
func (t *Tx) dropBody(seq, size int64, file string, e *Endings) error {
	t.Totals.BodyBytes -= size
	if err := t.Exec("UPDATE message SET open = 0, file = NULL WHERE seq = ?", seq); err != nil {
		return err
	}
	if file != "" {
		e.Files = append(e.Files, file)
		return nil
	}
	return t.Exec("DELETE FROM body WHERE seq = ?", seq)
}

// Purge deletes messages with all that belongs to them.
func (t *Tx) Purge(seqs []int64) error {
	for _, seq := range seqs {
		lo, hi := int64(stored.ID(seq, 0)), int64(stored.ID(seq+1, 0))
		err := t.c.Query(context.Background(), "SELECT site, state FROM delivery WHERE id >= ? AND id < ?",
			func(r database.Row) error {
				t.refs[r.Int(0)]--
				t.Totals.States[r.Int(1)]--
				return nil
			}, lo, hi)
		if err == nil {
			err = t.Exec("DELETE FROM message WHERE seq = ?", seq)
		}
		if err == nil {
			err = t.Exec("DELETE FROM attempt WHERE id >= ? AND id < ?", lo*stored.Slots, hi*stored.Slots)
		}
		if err == nil {
			err = t.Exec("DELETE FROM delivery WHERE id >= ? AND id < ?", lo, hi)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
