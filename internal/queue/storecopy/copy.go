package storecopy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
)

// Done is how far a copy is, for people who wait: rows and bytes of large bodies of a table that were looked at.
type Done struct {
	Table    string
	Verifies bool // everything was copied, and is read again
	Rows     int64
	Bytes    int64
}

// Report is what was copied and verified.
type Report struct {
	Tables []Counted
	// Resumed says that an earlier copy was gone on with; Written counts rows that were not there yet.
	Resumed bool
	Written int64
	Bodies  Bodies
	Counts  Counts
}

// Counted is a table as it is in both stores.
type Counted struct {
	Name   string
	Rows   int64
	Digest string // hexadecimal SHA-256
}

// Bodies are those of messages that wait.
type Bodies struct {
	Number, Bytes int64
	// Damaged counts those that are not what was accepted by their checksum, or not there: they were copied as they
	// are. First are the first of their messages.
	Damaged int64
	First   []queue.ID
}

// copier is one copy.
type copier struct {
	from, to Side
	tell     func(Done)
	report   Report
	done     Done
}

// Copy moves everything from one store into another, which is empty or an earlier copy of the same that did not come to
// its end. Afterwards gateways may open the target, and not the source. It answers queue.ErrInUse, queue.ErrMoved and
// queue.ErrUnfinished where a store cannot take part as it stands, ErrOther where the target has something else in it.
// Tell, which may be nil, hears now and then how far it is. After an error the source is as it was, unless that cannot
// be written; nothing in the target can be opened.
func Copy(ctx context.Context, from, to Side, tell func(Done)) (*Report, error) {
	c := &copier{from: from, to: to, tell: tell}
	source, target, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	err = c.run(ctx)
	if err == nil {
		err = c.end(ctx, source, target)
	} else if source.Word == Copying {
		err = errors.Join(err, release(ctx, from, source.ID))
	}
	if err != nil {
		return nil, err
	}
	return &c.report, nil
}

// begin holds the source and marks the target.
func (c *copier) begin(ctx context.Context) (source, target Standing, err error) {
	if source, err = c.from.Standing(ctx); err == nil {
		target, err = c.to.Standing(ctx)
	}
	if err != nil {
		return source, target, err
	}
	ended := source.Word == Moved && target.Word == Unfinished && source.Other == target.ID
	switch {
	case ended:
	case source.Word == Moved || source.Word == Unfinished:
		return source, target, source.Closed(c.from.Named())
	case target.Word == Moved || target.Word == Copying:
		return source, target, target.Closed(c.to.Named())
	}
	if c.report.Resumed = target.Word == Unfinished; c.report.Resumed {
		if target.Other != source.ID {
			return source, target, fmt.Errorf("%w: %s is an unfinished copy of %s",
				ErrOther, c.to.Named(), target.Named)
		}
	} else if err := c.empty(ctx); err != nil {
		return source, target, err
	}
	if ended {
		return source, target, nil
	}
	source = Standing{Word: Copying, ID: newID(source.ID), Other: target.ID, Named: c.to.Named()}
	if err := c.from.Stand(ctx, source); err != nil {
		if errors.Is(err, queue.ErrInUse) {
			return source, target, err
		}
		return source, target, errors.Join(err, release(ctx, c.from, source.ID)) // it may stand so all the same
	}
	target = Standing{Word: Unfinished, ID: newID(target.ID), Other: source.ID, Named: c.from.Named()}
	if err := c.to.Stand(ctx, target); err != nil {
		return source, target, errors.Join(err, release(ctx, c.from, source.ID))
	}
	return source, target, nil
}

func newID(old string) string {
	if old != "" {
		return old
	}
	return rand.Text()
}

// release has gateways open a source again.
func release(ctx context.Context, s Side, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if err := s.Stand(ctx, Standing{ID: id}); err != nil {
		return fmt.Errorf("storecopy: %s stays closed: %w", s.Named(), err)
	}
	return nil
}

// How long the last words to a store may take while the process stops, and when everything was copied.
const (
	releaseTime = 5 * time.Second
	endTime     = 30 * time.Second
)

// ClosedError is the error of a store that cannot be opened as it stands. It is queue.ErrMoved or queue.ErrUnfinished.
type ClosedError struct {
	Standing
	Store string // what people call it
}

// Closed is the error of a store of that name, nil where it can be opened.
func (s *Standing) Closed(name string) error {
	if s.Word == "" {
		return nil
	}
	return &ClosedError{*s, name}
}

// Error says where everything is, or is to come from.
func (e *ClosedError) Error() string {
	switch e.Word {
	case Unfinished:
		return fmt.Sprintf("%s is an unfinished copy of %s", e.Store, e.Named)
	case Copying:
		return fmt.Sprintf("%s is being copied to %s, or was when that ended in the middle", e.Store, e.Named)
	}
	return fmt.Sprintf("everything in %s was moved to %s", e.Store, e.Named)
}

// Is compares with the errors of a store.
func (e *ClosedError) Is(target error) bool {
	return target == queue.ErrUnfinished && e.Word == Unfinished || target == queue.ErrMoved && e.Word != Unfinished
}

// empty wants nothing in the target.
func (c *copier) empty(ctx context.Context) error {
	for _, t := range Tables() {
		any := false
		err := c.to.Query(ctx, "SELECT 1 FROM "+t.Name+" LIMIT 1", func(database.Row) error {
			any = true
			return nil
		})
		if err != nil {
			return err
		}
		if any {
			return fmt.Errorf("%w: %s has rows in the table %s", ErrOther, c.to.Named(), t.Name)
		}
	}
	return nil
}

// run copies, verifies, and has the target count.
func (c *copier) run(ctx context.Context) error {
	for _, t := range Tables() {
		if err := c.table(ctx, &t); err != nil {
			return err
		}
	}
	if err := c.verify(ctx); err != nil {
		return err
	}
	return c.to.Finish(ctx, &c.report.Counts)
}

// end opens the target and closes the source, the other way round. Who wants to stop now waits for this.
func (c *copier) end(ctx context.Context, source, target Standing) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	source.Word, source.Other, source.Named = Moved, target.ID, c.to.Named()
	if err := c.from.Stand(ctx, source); err != nil {
		return err
	}
	return c.to.Stand(ctx, Standing{ID: target.ID})
}

// table copies a table.
func (c *copier) table(ctx context.Context, t *Table) error {
	c.done = Done{Table: t.Name}
	for after, anew, end := []any(nil), false, false; !end; {
		p, err := next(ctx, c.from, t, after)
		if err != nil {
			return err
		}
		was, err := p.same(ctx, c.to)
		if err != nil {
			return err
		}
		if anew = anew && t.Anew || p.differs(was) >= 0; anew {
			if err := c.replace(ctx, p, was); err != nil {
				return err
			}
		}
		c.looked(int64(len(p.rows)), 0)
		after, end = p.in.To, p.end
	}
	return nil
}

// replace writes a portion. Large bodies that are there stay.
func (c *copier) replace(ctx context.Context, p, was *portion) error {
	in, rows := p.in, p.rows
	if p.end || p.t.Anew {
		in.To = nil
	}
	if file := p.t.File(); file >= 0 {
		rows = make([][]any, len(p.rows))
		for i, row := range p.rows {
			rows[i] = row
			if row[file] == nil {
				continue
			}
			name, err := c.body(ctx, p.t, row, was.rows)
			if err != nil {
				return err
			}
			rows[i] = slices.Clone(row)
			rows[i][file] = name
		}
	}
	if err := c.to.Replace(ctx, p.t, in, rows); err != nil {
		return fmt.Errorf("storecopy: writing %s in %s: %w", p.t.Name, c.to.Named(), err)
	}
	c.report.Written += int64(len(rows))
	return nil
}

// body copies the large body of a message, unless it is among those that are there.
func (c *copier) body(ctx context.Context, t *Table, row []any, was [][]any) (any, error) {
	for _, there := range was {
		if t.equal(row, there) {
			return there[t.File()], nil
		}
	}
	name := row[t.File()].(string)
	r, err := c.from.Body(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return c.to.PutBody(ctx, nil) // as it is: a message whose body is gone
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	counted := &counting{Reader: r}
	out, err := c.to.PutBody(ctx, counted)
	c.looked(0, counted.n)
	if err != nil {
		return nil, fmt.Errorf("storecopy: copying the body of message %s: %w", t.keyText(row), err)
	}
	return out, nil
}

func (c *copier) looked(rows, bytes int64) {
	c.done.Rows, c.done.Bytes = c.done.Rows+rows, c.done.Bytes+bytes
	if c.tell != nil {
		c.tell(c.done)
	}
}

// Reopen has gateways open a store again that was moved, or was being copied when that ended in the middle, and returns
// how it stood. A store that is not whole stays as it is: queue.ErrUnfinished.
func Reopen(ctx context.Context, s Side) (Standing, error) {
	was, err := s.Standing(ctx)
	switch {
	case err != nil || was.Word == "":
		return was, err
	case was.Word == Unfinished:
		return was, was.Closed(s.Named())
	}
	return was, s.Stand(ctx, Standing{ID: was.ID})
}
