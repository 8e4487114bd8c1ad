package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// abandoned is how long a draft of which nothing was written lives.
const abandoned = time.Hour

// draft is a body being written: in buf while it is small. Of a large one whole chunks go to the database; buf is what
// was not yet written. Chunks need not be durable when they are written: the commit of their message makes them so, and
// that asks whether they are there.
type draft struct {
	s    *Store
	buf  []byte
	size int64
	body int64 // number in the database, 0 for none
	n    int64 // chunks written
	sum  stored.Sum
	err  error // of an earlier write; nothing more is taken
	end  bool
}

// NewDraft begins a body.
func (s *Store) NewDraft(ctx context.Context) (queue.Draft, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	return &draft{s: s}, nil
}

// Size is the bytes written so far.
func (d *draft) Size() int64 { return d.size }

// Write takes a piece of the body. An error says queue.ErrFull when the database has no room.
func (d *draft) Write(p []byte) (int, error) {
	if d.end {
		return 0, errors.New("pgstore: the draft has ended")
	}
	if d.err != nil {
		return 0, d.err
	}
	n := len(p)
	d.sum = d.sum.With(p)
	d.size += int64(n)
	for len(p) > 0 {
		k := min(len(p), pgtables.ChunkSize-len(d.buf))
		d.buf, p = append(d.buf, p[:k]...), p[k:]
		if len(d.buf) == pgtables.ChunkSize && d.size > int64(d.s.cfg.SmallBody) {
			if d.err = d.spill(); d.err != nil {
				return 0, d.err
			}
		}
	}
	return n, nil
}

// with lends a connection whose commits need not be durable by themselves.
func (d *draft) with(do func(ctx context.Context, c *postgres.Conn) error) error {
	if err := d.s.gate.Enter(d.s.life); err != nil {
		return err
	}
	defer d.s.gate.Leave()
	ctx, cancel := context.WithTimeout(d.s.life, d.s.cfg.Patience)
	defer cancel()
	return postgres.Translate(d.s.bodies.With(ctx, func(c *postgres.Conn) error { return do(ctx, c) }))
}

// spill writes buf as a chunk, and makes the draft known the first time.
func (d *draft) spill() error {
	if err := d.s.Room(); err != nil {
		return err
	}
	err := d.with(func(ctx context.Context, c *postgres.Conn) error {
		if d.body == 0 {
			err := c.Query(ctx, "INSERT INTO draft (body, owner, until) VALUES (nextval('body_number'), ?,"+
				" now() + ?::bigint * interval '1 second') RETURNING body", func(r database.Row) error {
				d.body = r.Int(0)
				return nil
			}, d.s.owner, int64(abandoned/time.Second))
			if err != nil {
				return err
			}
		}
		n, err := c.Change(ctx, `WITH alive AS (UPDATE draft SET until = now() + ?1::bigint * interval '1 second'
			WHERE body = ?2 AND owner = ?3 RETURNING body)
			INSERT INTO chunk (body, n, data) SELECT body, ?4, ?5 FROM alive
			ON CONFLICT (body, n) DO UPDATE SET data = excluded.data`, int64(abandoned/time.Second), d.body, d.s.owner, d.n, d.buf)
		if err == nil && n != 1 {
			err = errors.New("pgstore: the draft was swept away while it was written")
		}
		return err
	})
	if err != nil {
		d.s.noteRoom(err)
		return fmt.Errorf("pgstore: cannot write a large body: %w", err)
	}
	d.buf, d.n = d.buf[:0], d.n+1
	return nil
}

// seal writes what is left of a large body, and tells what is to be stored.
func (d *draft) seal() (stored.Body, error) {
	if d.end || d.err != nil {
		return stored.Body{}, errors.Join(errors.New("pgstore: the body is not an open draft"), d.err)
	}
	if d.size > int64(d.s.cfg.SmallBody) && len(d.buf) > 0 {
		if d.err = d.spill(); d.err != nil {
			return stored.Body{}, d.err
		}
	}
	body := stored.Body{Size: d.size, Sum: d.sum}
	if d.body == 0 {
		body.Data = d.buf
	} else {
		body.File = strconv.FormatInt(d.body, 10)
	}
	return body, nil
}

// handOver ends the draft; the body belongs to the message now.
func (d *draft) handOver() { d.end, d.buf = true, nil }

// Discard removes what was written. What cannot be removed now is swept away later; what a message has stays.
func (d *draft) Discard() error {
	if d.end {
		return nil
	}
	d.handOver()
	if d.body == 0 {
		return nil
	}
	_ = d.with(func(ctx context.Context, c *postgres.Conn) error {
		_, err := c.Change(ctx, "WITH gone AS (DELETE FROM draft WHERE body = ? AND owner = ? RETURNING body)"+
			" DELETE FROM chunk USING gone WHERE chunk.body = gone.body", d.body, d.s.owner)
		return err
	})
	return nil
}
