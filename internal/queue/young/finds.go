package young

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
)

// Stored is what a database tells of messages, to a Finds.
type Stored interface {
	HasID(id queue.ID) (bool, error)
	HasSeq(seq int64) (bool, error)
	// Behind lists the numbers of messages behind one.
	Behind(seq int64) (map[int64]bool, error)
}

// Finds collects what the records of a journal tell of messages that are not in the database. Use NewFinds.
type Finds struct {
	// Tolerant: a record that cannot be read ends nothing, and those of other runs count.
	Tolerant bool
	Left     []*stored.Message   // not in the database, as they stood
	Seen     map[int64]time.Time // when the messages were accepted whose numbers the journal has
	Bad      int                 // records that cannot be read

	db      Stored
	known   wal.Known
	applied int64
	byPlace map[place]*stored.Message
	settled []settled
}

// NewFinds begins with nothing. The database has every message up to the number applied, and known is what it remembers
// of the journal.
func NewFinds(db Stored, known wal.Known, applied int64) *Finds {
	return &Finds{db: db, known: known, applied: applied, byPlace: map[place]*stored.Message{},
		Seen: map[int64]time.Time{}}
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

// Read takes one record.
func (f *Finds) Read(run uint64, payload []byte) error {
	err := f.take(run, payload)
	if err != nil && f.Tolerant {
		f.Bad++
		return nil
	}
	return err
}

func (f *Finds) take(run uint64, payload []byte) error {
	if len(payload) == 0 {
		return ErrRecord
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
func (f *Finds) accept(run uint64, n *stored.Message) error {
	f.Seen[n.Seq] = n.AcceptedAt
	at := place{run, n.Seq}
	if f.byPlace[at] != nil {
		return nil
	}
	there := n.Seq <= f.applied
	var err error
	switch {
	case !f.own(run):
		there, err = f.db.HasID(n.ID)
	case !there:
		there, err = f.db.HasSeq(n.Seq)
	}
	if err != nil {
		return err
	}
	if !there {
		f.byPlace[at] = n
		f.Left = append(f.Left, n)
	}
	return nil
}

// own reports whether the numbers of a run's messages are those of the database.
func (f *Finds) own(run uint64) bool {
	k := &f.known
	return k.Last.Run == 0 || run == k.Last.Run || run == k.Previous
}

// Settle carries out what was delivered, on the messages that are not in the database: there it is known already.
func (f *Finds) Settle() error {
	for _, st := range f.settled {
		err := replay(st.batch, st.run, f.byPlace)
		if err != nil && !f.Tolerant {
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
			return ErrRecord
		}
		n.Deliveries[k].Deliver(st, b.Now)
	}
	return nil
}

// InOrder puts the messages in the order of their numbers. One whose number is another's gets a new one, behind last.
func (f *Finds) InOrder(last int64) error {
	taken, err := f.db.Behind(f.applied)
	if err != nil {
		return err
	}
	for _, n := range f.Left {
		if taken[n.Seq] || n.Seq <= f.applied {
			last++
			n.Number(last)
		}
		taken[n.Seq] = true
	}
	slices.SortFunc(f.Left, func(a, b *stored.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	return nil
}

// Gap is numbers of messages that nothing tells of.
type Gap struct {
	// Missing counts them. A number may also never have been used.
	Missing int64
	// After and Before are when the messages around them were accepted; zero where there is none.
	After, Before time.Time
}

// Loss is one sentence, without its end, about what may be lost.
func (g *Gap) Loss() string {
	const last = "what was accepted last may be lost, if it stood in what is missing"
	if g.Missing == 0 {
		return "no message is known to be lost, but " + last
	}
	span := ""
	if !g.After.IsZero() {
		span += ", accepted after " + g.After.Format(time.RFC3339)
	}
	if !g.Before.IsZero() {
		span += ", accepted before " + g.Before.Format(time.RFC3339)
	}
	return fmt.Sprintf("up to %d messages may be lost%s, by their numbers; %s", g.Missing, span, last)
}

// Gap counts the numbers up to last that neither the journal nor the database has.
func (f *Finds) Gap(last int64) (out Gap, err error) {
	there, err := f.db.Behind(f.applied)
	if err != nil {
		return out, err
	}
	for seq := range f.Seen {
		there[seq] = true
	}
	before := f.applied
	for _, seq := range append(slices.Sorted(maps.Keys(there)), last+1) {
		if seq <= before {
			continue
		}
		if gap := seq - before - 1; gap > 0 {
			if out.Missing == 0 {
				out.After = f.Seen[before]
			}
			out.Missing += gap
			out.Before = f.Seen[seq]
		}
		before = seq
	}
	return out, nil
}
