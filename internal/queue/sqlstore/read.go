package sqlstore

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/search"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/stored"
)

// searched are the tables as a search uses them.
type searched struct{ s *Store }

// Begin brings into the database what is in the journal.
func (d searched) Begin(ctx context.Context) (end func(), err error) {
	if err := d.s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	if err := d.s.settleDown(ctx); err != nil {
		d.s.gate.Leave()
		return nil, err
	}
	return d.s.gate.Leave, nil
}

// Read lends a reading connection.
func (d searched) Read(ctx context.Context, do func(db database.Reader) error) error {
	return d.s.read(ctx, func(c *sqlite.Conn) error { return do(c) })
}

// Known is what is counted.
func (d searched) Known(context.Context, database.Reader) (search.Known, error) {
	return d.s.counted(), nil
}

func (s *Store) counted() search.Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return search.Known{Skew: s.order.Skew, States: s.totals.States}
}

// MarkSending gives leased deliveries their state.
func (d searched) MarkSending(_ context.Context, _ database.Reader, rs []queue.Record) error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	for i := range rs {
		if rs[i].State.Waiting() && d.s.leases[rs[i].ID] != nil {
			rs[i].State = queue.Sending
		}
	}
	return nil
}

// Open opens a body, which is then as long as it was, and the same by its checksum. It answers queue.ErrDamaged
// otherwise, and where the body of a message that waits is missing.
func (s *Store) Open(ctx context.Context, id queue.ID) (io.ReadSeekCloser, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	for again := false; ; again = true {
		c, err := s.content(ctx, id)
		if err != nil {
			return nil, err
		}
		r, err := s.spool.Open(c)
		if !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
		if again { // it was not that the message ended a moment ago
			return nil, c.Damaged("is gone: there is no file spool/%s", c.File)
		}
	}
}

// content finds the body of a message that waits, queue.ErrNotFound when there is none.
func (s *Store) content(ctx context.Context, id queue.ID) (c *stored.Content, err error) {
	if c, err := s.youngContent(id); c != nil || err != nil {
		return c, err
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		c, err = stored.ReadContent(ctx, conn, id)
		return err
	})
	return c, sqlite.Translate(err)
}

// youngContent is content for a message in the journal, nil if it is not there.
func (s *Store) youngContent(id queue.ID) (*stored.Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.young.Get(id)
	switch {
	case m == nil:
		return nil, nil
	case m.Left() == 0:
		return nil, queue.ErrNotFound
	}
	return &stored.Content{Message: id, File: m.Body.File, Data: m.Body.Data, Size: m.Size, Sum: &m.Body.Sum}, nil
}

// load reads claimed deliveries and completes their leases.
func (s *Store) load(ctx context.Context, leases []queue.Lease) ([]queue.Work, error) {
	ids := make([]queue.DeliveryID, len(leases))
	for i, l := range leases {
		ids[i] = l.Delivery
	}
	var found []*stored.Record
	err := s.read(ctx, func(c *sqlite.Conn) (err error) {
		found, err = s.search.Records(ctx, c, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.work(leases, found), nil
}

// work makes what the worker gets, and lets the leases know the rows.
func (s *Store) work(leases []queue.Lease, found []*stored.Record) []queue.Work {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]queue.Work, len(found))
	for i, r := range found {
		if l := s.leases[r.ID]; l != nil && l.token == leases[i].Token {
			l.row = sqltables.RowOf(r)
		}
		out[i] = r.Work(leases[i])
	}
	return out
}
