package sqlstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// finds collects what the records of a journal tell of messages that are not in the database.
type finds struct {
	s        *Store
	tolerant bool // a record that cannot be read ends nothing, and those of other runs count

	left    []*stored.Message // not in the database, as they stood
	byPlace map[place]*stored.Message
	settled []settled
	seen    map[int64]time.Time // when the messages were accepted whose numbers the journal has
	bad     int                 // records that cannot be read
}

// place is where a record says a message stands: numbers are those of a run's own store.
type place struct {
	run uint64
	seq int64
}

type settled struct {
	run   uint64
	batch *stored.Batch
}

func (s *Store) newFinds() *finds {
	return &finds{s: s, byPlace: map[place]*stored.Message{}, seen: map[int64]time.Time{}}
}

// read takes one record.
func (f *finds) read(run uint64, payload []byte) error {
	err := f.take(run, payload)
	if err != nil && f.tolerant {
		f.bad++
		return nil
	}
	return err
}

func (f *finds) take(run uint64, payload []byte) error {
	if len(payload) == 0 {
		return errRecord
	}
	switch payload[0] {
	case kindAccept:
		n, err := readAccept(payload[1:])
		if err != nil {
			return err
		}
		return f.accept(run, n)
	case kindSettle:
		b, err := readSettle(payload[1:])
		if err == nil {
			f.settled = append(f.settled, settled{run, b})
		}
		return err
	}
	return kindError(payload[0])
}

// accept notes a message, unless the database has it, or had it and purged it.
func (f *finds) accept(run uint64, n *stored.Message) error {
	f.seen[n.Seq] = n.AcceptedAt
	at := place{run, n.Seq}
	if f.byPlace[at] != nil {
		return nil
	}
	there := n.Seq <= f.s.applied
	var err error
	switch {
	case !f.own(run):
		there, err = f.s.writer.has("SELECT count(*) FROM message WHERE id = ?", string(n.ID))
	case !there:
		there, err = f.s.writer.has("SELECT count(*) FROM message WHERE seq = ?", n.Seq)
	}
	if err != nil {
		return err
	}
	if !there {
		f.byPlace[at] = n
		f.left = append(f.left, n)
	}
	return nil
}

// has reports whether a count is not 0.
func (w *writer) has(text string, arg any) (bool, error) {
	n, err := w.c.Number(context.Background(), text, arg)
	return n > 0, err
}

// own reports whether the numbers of a run's messages are those of the database.
func (f *finds) own(run uint64) bool {
	k := &f.s.known
	return k.Last.Run == 0 || run == k.Last.Run || run == k.Previous
}

// settle carries out what was delivered, on the messages that are not in the database: there it is known already.
func (f *finds) settle() error {
	for _, st := range f.settled {
		err := replay(st.batch, st.run, f.byPlace)
		if err != nil && !f.tolerant {
			return err
		}
	}
	return nil
}

// replay carries out what was delivered, on those messages that were found.
func replay(b *stored.Batch, run uint64, found map[place]*stored.Message) error {
	for i := range b.Settlements {
		st := &b.Settlements[i]
		n := found[place{run, stored.SeqOf(st.Lease.Delivery)}]
		if n == nil {
			continue
		}
		k := stored.Place(st.Lease.Delivery)
		if k >= len(n.Deliveries) || !n.Deliveries[k].State.Waiting() {
			return errRecord
		}
		n.Deliveries[k].Deliver(st, b.Now)
	}
	return nil
}

// inOrder puts the messages in the order of their numbers. One whose number is another's gets a new one, behind last.
func (f *finds) inOrder(last int64) error {
	taken, err := f.s.stands()
	if err != nil {
		return err
	}
	for _, n := range f.left {
		if taken[n.Seq] || n.Seq <= f.s.applied {
			last++
			n.Number(last)
		}
		taken[n.Seq] = true
	}
	slices.SortFunc(f.left, func(a, b *stored.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	return nil
}

// stands lists the numbers in the database behind those that are all there.
func (s *Store) stands() (map[int64]bool, error) {
	out := map[int64]bool{}
	err := s.writer.c.Query(context.Background(), "SELECT seq FROM message WHERE seq > ?", func(r database.Row) error {
		out[r.Int(0)] = true
		return nil
	}, s.applied)
	return out, err
}

// missing counts the numbers that neither the journal nor the database has, and tells when those around were accepted.
func (f *finds) missing(last int64, out *Salvaged) error {
	there, err := f.s.stands()
	if err != nil {
		return err
	}
	for seq := range f.seen {
		there[seq] = true
	}
	before := f.s.applied
	for _, seq := range append(slices.Sorted(maps.Keys(there)), last+1) {
		if seq <= before {
			continue
		}
		if gap := seq - before - 1; gap > 0 {
			if out.Missing == 0 {
				out.After = f.seen[before]
			}
			out.Missing += gap
			out.Before = f.seen[seq]
		}
		before = seq
	}
	return nil
}
