package storecopy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// verify reads everything on both sides, compares it, and counts.
func (c *copier) verify(ctx context.Context) (err error) {
	n := &c.report.Counts
	if n.LastSeq, n.DayKeys, err = c.from.Order(ctx); err != nil {
		return err
	}
	for _, t := range Tables() {
		c.done = Done{Table: t.Name, Verifies: true}
		if err := c.verifyTable(ctx, &t); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) verifyTable(ctx context.Context, t *Table) error {
	source, target := newDigest(), newDigest()
	for after, end := []any(nil), false; !end; {
		p, err := next(ctx, c.from, t, after)
		if err != nil {
			return err
		}
		there, err := p.same(ctx, c.to)
		if err != nil {
			return err
		}
		if i := p.differs(there); i >= 0 {
			row := append(p.rows[min(i, len(p.rows)):], there.rows[min(i, len(there.rows)):]...)[0]
			return fmt.Errorf("%w: table %s at %s", ErrDiffers, t.Name, t.keyText(row))
		}
		source.add(t, p.rows)
		target.add(t, there.rows)
		if err := c.count(ctx, p, there); err != nil {
			return err
		}
		c.looked(int64(len(p.rows)), 0)
		after, end = p.in.To, p.end
	}
	if source.rows != target.rows || source.text() != target.text() {
		// what differs has passed row by row: a fault of ours
		return fmt.Errorf("%w: table %s as a whole", ErrDiffers, t.Name)
	}
	c.report.Tables = append(c.report.Tables, Counted{t.Name, target.rows, target.text()})
	return nil
}

// count notes what a store counts of itself, and looks at bodies.
func (c *copier) count(ctx context.Context, p, there *portion) error {
	switch p.t.Name {
	case "message":
		return c.countMessages(ctx, p, there)
	case "body":
		return c.bodies(ctx, there)
	case "delivery":
		state := p.t.column("state")
		for _, row := range p.rows {
			n := row[state].(int64)
			if n < stored.Queued || n > stored.Cancelled {
				return fmt.Errorf("%w: delivery %s has the state %d", queue.ErrDamaged, p.t.keyText(row), n)
			}
			c.report.Counts.States[n]++
		}
	}
	return nil
}

func (c *copier) countMessages(ctx context.Context, p, there *portion) error {
	n, accepted, open, size := &c.report.Counts, p.t.column("accepted"), p.t.column("open"), p.t.column("size")
	for i, row := range p.rows {
		n.LastSeq = max(n.LastSeq, row[0].(int64))
		if at := row[accepted].(int64); at >= n.Newest {
			n.Newest = at
		} else {
			n.Skew = max(n.Skew, n.Newest-at)
		}
		if row[open].(int64) > 0 {
			n.BodyBytes += row[size].(int64)
		}
		if row[p.t.File()] != nil {
			if err := c.large(ctx, p.t, row, there.rows[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// counting counts what is read.
type counting struct {
	io.Reader
	n int64
}

// Read reads on.
func (r *counting) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	return n, err
}

// seen is a large body as it was read.
type seen struct {
	there bool
	size  int64
	sum   stored.Sum
	hash  [sha256.Size]byte
}

// see reads a large body through.
func see(ctx context.Context, s Side, file string) (out seen, err error) {
	r, err := s.Body(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	defer r.Close()
	hash, buf := sha256.New(), make([]byte, 64<<10)
	for out.there = true; ; {
		n, err := r.Read(buf)
		out.size += int64(n)
		out.sum = out.sum.With(buf[:n])
		hash.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return out, err
		}
	}
	hash.Sum(out.hash[:0])
	return out, nil
}

// large compares a large body on both sides and with what its message says.
func (c *copier) large(ctx context.Context, t *Table, row, there []any) error {
	a, err := see(ctx, c.from, row[t.File()].(string))
	if err != nil {
		return err
	}
	b, err := see(ctx, c.to, there[t.File()].(string))
	if err != nil {
		return err
	}
	if a != b {
		return fmt.Errorf("%w: the body of message %v", ErrDiffers, row[1])
	}
	c.looked(0, a.size)
	return c.whole(queue.ID(row[1].(string)), row[t.column("facts")].(string), row[t.column("size")].(int64), a.there,
		a.size, a.sum)
}

// whole counts a body, and notes whether it is what was accepted.
func (c *copier) whole(id queue.ID, facts string, want int64, there bool, size int64, sum stored.Sum) error {
	known, err := stored.SumIn(facts)
	if err != nil {
		return err
	}
	b := &c.report.Bodies
	b.Number, b.Bytes = b.Number+1, b.Bytes+size
	if !there || size != want || known != nil && sum != *known {
		b.Damaged++
		if len(b.First) < 10 {
			b.First = append(b.First, id)
		}
	}
	return nil
}

// smallBodies are the messages that have a body in the table body.
const smallBodies = "SELECT seq, id, facts, size FROM message WHERE open > 0 AND file IS NULL AND seq > ?1 AND seq " +
	"<= ?2 ORDER BY seq"

// bodies holds small bodies of the target against what their messages say; the rows were compared already.
func (c *copier) bodies(ctx context.Context, p *portion) error {
	after, to := int64(-1), int64(1<<62)
	if p.in.After != nil {
		after = p.in.After[0].(int64)
	}
	if p.in.To != nil {
		to = p.in.To[0].(int64)
	}
	i := 0
	return c.to.Query(ctx, smallBodies, func(r database.Row) error {
		seq := r.Int(0)
		for i < len(p.rows) && p.rows[i][0].(int64) < seq {
			i++
		}
		there := i < len(p.rows) && p.rows[i][0] == seq
		var data []byte
		if there {
			data = p.rows[i][1].([]byte)
		}
		return c.whole(queue.ID(r.Text(1)), r.Text(2), r.Int(3), there, int64(len(data)), stored.Sum(0).With(data))
	}, after, to)
}
