package search

import (
	"cmp"
	"context"
	"slices"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// A stream is an index that yields deliveries newest first, however many it has: a search takes of it what it needs.
// Both begin at totals.indexed; what is older is walked over.
type stream struct {
	states []int64 // stored states, of table undelivered
	scope  any     // list of domains, of table party; nil: states
	x      *Search
	from   queue.DeliveryID
	ids    []queue.DeliveryID // read and not yet taken, newest first
	below  queue.DeliveryID   // where reading goes on
	blocks int64              // how many blocks of party to look at next
	seqs   int64              // messages that were looked at
}

// fewUndelivered is up to how many deliveries in some states are looked at, rather than all mail of a scope.
const fewUndelivered = 20_000

// streamOf chooses the stream that answers f soonest; nil where none does.
func (x *Search) streamOf(ctx context.Context, db database.Reader, f *queue.Filter, known Known) (*stream, error) {
	states, count := known.undelivered(f.States)
	if f.Scope == nil && len(states) == 0 {
		return nil, nil
	}
	out := &stream{blocks: 1, x: x}
	if f.Scope == nil || len(states) > 0 && count <= fewUndelivered {
		out.states = states
	} else {
		out.scope = x.scope(f)
	}
	from, err := db.Number(ctx, "SELECT indexed FROM totals")
	out.from = stored.ID(from, 0)
	return out, err
}

// undelivered are the stored states of a filter that asks for none of what was delivered, and how many deliveries have
// them; none for any other.
func (k *Known) undelivered(states []queue.State) (out []int64, count int64) {
	for _, st := range states {
		numbers := []int64{stored.State(st)}
		switch st {
		case queue.Delivered:
			return nil, 0
		case queue.Sending:
			numbers = []int64{stored.Queued, stored.Held}
		}
		for _, n := range numbers {
			if !slices.Contains(out, n) {
				out, count = append(out, n), count+k.States[n]
			}
		}
	}
	return out, count
}

// scope is the scope of a filter as an argument, NULL where it has none.
func (x *Search) scope(f *queue.Filter) any {
	if f.Scope == nil {
		return x.dialect.List([]string(nil))
	}
	names := []string{}
	for _, d := range f.Scope {
		names = append(names, d.String())
	}
	return x.dialect.List(names)
}

// next returns up to page deliveries below hi and from lo on, newest first, and below which it goes on; that is lo, or
// where the index begins, when it has no more.
func (st *stream) next(ctx context.Context, db database.Reader, lo,
	hi queue.DeliveryID) (ids []queue.DeliveryID, below queue.DeliveryID, err error) {
	end := max(lo, st.from)
	for st.below = min(hi, cmp.Or(st.below, hi)); len(st.ids) == 0 && st.below > end && err == nil; {
		if st.scope != nil {
			st.below, err = st.readScope(ctx, db, end, st.below)
		} else {
			st.below, err = st.readStates(ctx, db, end, st.below)
		}
	}
	n := min(page, len(st.ids))
	ids, st.ids = st.ids[:n], st.ids[n:]
	if len(st.ids) > 0 {
		return ids, ids[n-1], err
	}
	return ids, max(st.below, end), err
}

// readStates reads the newest deliveries below hi in any of the states.
func (st *stream) readStates(ctx context.Context, db database.Reader, end,
	hi queue.DeliveryID) (queue.DeliveryID, error) {
	for _, state := range st.states {
		err := db.Query(ctx, st.x.undelivered, func(r database.Row) error {
			st.ids = append(st.ids, queue.DeliveryID(r.Int(0)))
			return nil
		}, state, int64(end), int64(hi))
		if err != nil {
			return hi, err
		}
	}
	newestFirst(&st.ids)
	below := end
	if len(st.ids) >= page { // of one state there may be more between
		st.ids = st.ids[:page]
		below = st.ids[page-1]
	}
	st.seqs += int64(len(st.ids))
	return below, nil
}

// blockSize is how many messages a block of party has.
const blockSize = 1 << 12

// blocksMost bounds the blocks that one query looks at.
const blocksMost = 256

// readScope reads the newest deliveries below hi of messages that are from or to the scope; where there are few it
// looks at more blocks with each query.
func (st *stream) readScope(ctx context.Context, db database.Reader, end,
	hi queue.DeliveryID) (queue.DeliveryID, error) {
	last, first := stored.SeqOf(hi-1), stored.SeqOf(end)
	lowest := max(first/blockSize, last/blockSize-st.blocks+1)
	var blocks []queue.DeliveryID
	for b := last / blockSize; b >= lowest; b-- {
		blocks = append(blocks, queue.DeliveryID(b))
	}
	seqs, err := st.parties(ctx, db, blocks, max(first, lowest*blockSize), last)
	if err != nil {
		return hi, err
	}
	below := max(end, stored.ID(lowest*blockSize, 0))
	if len(seqs) == page {
		below = max(end, stored.ID(int64(seqs[page-1]), 0))
	}
	if st.seqs += int64(len(seqs)); len(seqs) < page {
		st.blocks = min(st.blocks*4, blocksMost)
	}
	err = db.Query(ctx, st.x.partiesDeliveries, func(r database.Row) error {
		if id := queue.DeliveryID(r.Int(0)); id >= end && id < hi {
			st.ids = append(st.ids, id)
		}
		return nil
	}, st.x.dialect.List(seqs), st.scope)
	newestFirst(&st.ids)
	return below, err
}

// parties lists the newest messages in some blocks that are from or to the scope.
func (st *stream) parties(ctx context.Context, db database.Reader, blocks []queue.DeliveryID, first,
	last int64) (seqs []queue.DeliveryID, err error) {
	err = db.Query(ctx, st.x.parties, func(r database.Row) error {
		seqs = append(seqs, queue.DeliveryID(r.Int(0)))
		return nil
	}, st.x.dialect.List(blocks), st.scope, first, last)
	return seqs, err
}

func newestFirst(ids *[]queue.DeliveryID) {
	slices.Sort(*ids)
	*ids = slices.Compact(*ids)
	slices.Reverse(*ids)
}

// empty reports whether nothing that was read is left.
func (st *stream) empty() bool { return st == nil || len(st.ids) == 0 }
