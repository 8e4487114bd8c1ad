package search

import (
	"context"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// page is how many records are read at once; between pages no connection is held, so a slow reader of a long list does
// not keep the log from being reset.
const page = 256

// List yields records, the newest acceptance first. It looks for an index that leaves few deliveries to read
// (Candidates), or one that yields them newest first (stream), and reads all from the newest down where there is none.
// The first error is the last that is yielded.
func (x *Search) List(ctx context.Context, store Store, f *queue.Filter, yield func(queue.Record, error) bool) {
	l := &listing{x: x, store: store, f: f, rs: x.reader(f.Brief)}
	left := f.Limit
	for {
		found, err := l.next(ctx)
		if err != nil {
			yield(queue.Record{}, err)
			return
		}
		over := l.over(ctx)
		for i := range found {
			if !yield(found[i], nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
		if l.done {
			return
		}
		if over != nil {
			yield(queue.Record{}, over)
			return
		}
	}
}

// listing is the state of one List.
type listing struct {
	x       *Search
	store   Store
	f       *queue.Filter
	rs      *stored.Reader
	planned bool
	done    bool
	ids     []queue.DeliveryID // candidates left, newest first; used when byID
	byID    bool
	stream  *stream          // nil: walk
	lo, hi  queue.DeliveryID // deliveries left to walk over: lo <= id < hi
	where   walkFilter
	window  int64 // messages that the last query of a walk looked at
	looked  int64 // messages walked over
}

// over returns *queue.Unfinished when the walk has looked at as many messages as it may.
func (l *listing) over(ctx context.Context) error {
	if l.f.Look <= 0 || l.byID || l.done || l.looked < int64(l.f.Look) {
		return nil
	}
	at := &queue.Unfinished{After: l.hi}
	_ = l.store.Read(ctx, func(db database.Reader) error { // without it the time is not told
		return db.Query(ctx, "SELECT accepted FROM message WHERE seq >= ? ORDER BY seq LIMIT 1",
			func(r database.Row) error {
				at.AcceptedAt = r.Time(0)
				return nil
			}, int64(l.hi)>>20)
	})
	return at
}

// next returns the next records that match; none does not mean the end, done does.
func (l *listing) next(ctx context.Context) (out []queue.Record, err error) {
	from := l.place()
	err = l.store.Read(ctx, func(db database.Reader) error {
		*l = from() // it may be called again
		if !l.planned {
			if err := l.plan(ctx, db); err != nil {
				return err
			}
		}
		found, err := l.fetch(ctx, db)
		if err != nil {
			return err
		}
		if err := l.rs.Complete(ctx, db, found); err != nil {
			return err
		}
		for _, r := range found {
			out = append(out, r.Record)
		}
		return l.store.MarkSending(ctx, db, out)
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(r queue.Record) bool { return !l.f.Matches(&r) }), nil
}

// place remembers where the listing is.
func (l *listing) place() func() listing {
	at, stream := *l, stream{}
	if at.stream != nil {
		stream = *at.stream
	}
	return func() listing {
		if at.stream != nil {
			*at.stream = stream
		}
		return at
	}
}

// plan decides how to search.
func (l *listing) plan(ctx context.Context, db database.Reader) error {
	l.planned = true
	known, err := l.store.Known(ctx, db)
	if err != nil {
		return err
	}
	lo, hi, err := l.x.SeqRange(ctx, db, known, l.f.Since, l.f.Until)
	if err != nil {
		return err
	}
	l.lo, l.hi = stored.ID(lo, 0), stored.ID(hi+1, 0)
	if l.f.After > 0 {
		l.hi = min(l.hi, l.f.After)
	}
	if l.ids, l.byID, err = l.x.Candidates(ctx, db, l.f, known); err != nil {
		return err
	}
	if l.where, err = l.x.walkFilterOf(ctx, db, l.f); err != nil {
		return err
	}
	if l.byID {
		l.ids = slices.DeleteFunc(l.ids, func(id queue.DeliveryID) bool { return id < l.lo || id >= l.hi })
		slices.Sort(l.ids)
		l.ids = slices.Compact(l.ids)
		slices.Reverse(l.ids)
		return nil
	}
	l.stream, err = l.x.streamOf(ctx, db, l.f, known)
	return err
}

// A query of a walk looks at so many messages, so that no read takes long: at few first, for most lists are a page of
// the newest, and then at ever more.
const (
	firstWindow = 512
	window      = 20000
)

func (l *listing) fetch(ctx context.Context, db database.Reader) (found []*stored.Record, err error) {
	collect := func(r database.Row) error {
		rec, err := stored.Scan(r)
		found = append(found, rec)
		return err
	}
	if l.byID {
		n := min(page, len(l.ids))
		ids := l.ids[:n]
		l.ids = l.ids[n:]
		l.done = len(l.ids) == 0
		return found, db.Query(ctx, l.x.byID, collect, l.where.args(l.x.dialect.List(ids), int64(0))...)
	}
	if l.stream != nil {
		var ids []queue.DeliveryID
		if ids, l.hi, err = l.stream.next(ctx, db, l.lo, l.hi); err != nil {
			return nil, err
		}
		if l.looked = l.stream.seqs; len(l.stream.ids) == 0 && l.hi <= l.stream.from {
			l.stream = nil // what is older is in no index yet
		}
		l.done = l.hi <= l.lo && l.stream.empty()
		return found, db.Query(ctx, l.x.byID, collect, l.where.args(l.x.dialect.List(ids), int64(0))...)
	}
	l.window = min(max(firstWindow, 4*l.window), window)
	span := queue.DeliveryID(l.window)
	if l.f.Look > 0 {
		span = min(span, queue.DeliveryID(max(1, int64(l.f.Look)-l.looked)))
	}
	lo, before := max(l.lo, l.hi-span*queue.MaxDeliveries), l.hi
	err = db.Query(ctx, l.x.walk, collect, l.where.args(int64(lo), int64(l.hi))...)
	if len(found) == page {
		l.hi = found[page-1].ID
	} else {
		l.hi = lo
	}
	l.done = l.hi <= l.lo
	l.looked += int64(before-l.hi+queue.MaxDeliveries-1) / queue.MaxDeliveries
	return found, err
}

// walkFilter is the part of a Filter that the database can apply while it walks; queue.Filter.Matches decides.
type walkFilter struct {
	states, site      int64 // 0: any; states is a set of bits
	reason, rule      string
	sender, recipient string // GLOB patterns
	scope             any    // list of domains; NULL: any
}

// args are the arguments of walk between two deliveries, or of byID with a list of them and 0.
func (w *walkFilter) args(first, second any) []any {
	return []any{first, second, w.states, w.site, w.reason, w.recipient, w.rule, w.sender, w.scope}
}

func (x *Search) walkFilterOf(ctx context.Context, db database.Reader, f *queue.Filter) (w walkFilter, err error) {
	for _, st := range f.States {
		w.states |= 1 << stored.State(st)
		if st == queue.Sending {
			w.states |= 1<<stored.Queued | 1<<stored.Held
		}
	}
	w.reason, w.scope = string(f.Reason), x.scope(f)
	w.sender, w.recipient = globOf(f.Sender), globOf(f.Recipient)
	if f.Domain != "" && w.recipient == "" {
		w.recipient = globOf(f.Domain)
	}
	if f.Rule != "" {
		if w.rule, err = stored.Encode(f.Rule); err != nil {
			return w, err
		}
	}
	if f.Site != "" {
		w.site, err = db.Number(ctx, "SELECT id FROM site WHERE key = ?", string(f.Site))
		if w.site == 0 {
			w.site = -1
		}
	}
	return w, err
}

// globOf turns a Filter's address text into a GLOB pattern for a column in lower case; "" where Go decides alone.
func globOf(text string) string {
	switch {
	case text == "" || text == "<>":
		return ""
	case strings.ContainsAny(text, "@*?"):
		if a, err := mail.ParseAddress(text); err == nil && !strings.ContainsAny(text, "*?") {
			text = a.Canonical() // as the column has it
		}
		return strings.ReplaceAll(strings.ToLower(text), "[", "[[]")
	}
	if d := domainOf(text); d != "" {
		return "*@" + d
	}
	return ""
}
