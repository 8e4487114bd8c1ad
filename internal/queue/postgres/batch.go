package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"postern/internal/queue/database"
)

// Batch is statements that go to the server together and are answered together: one round trip. The zero Batch is
// empty.
type Batch struct{ steps []step }

type step struct {
	text string
	args []any
	each func(r database.Row) error
	want int64 // rows that must be changed or read; -1 is any
}

// Add appends a statement; each, which may be nil, is called for every row of its answer.
func (b *Batch) Add(text string, each func(r database.Row) error, args ...any) {
	b.steps = append(b.steps, step{text, args, each, -1})
}

// Must appends a statement that is to change or read so many rows; where it does not, Send answers a *Short.
func (b *Batch) Must(want int, text string, args ...any) {
	b.steps = append(b.steps, step{text, args, nil, int64(want)})
}

// Empty reports whether there is nothing to send.
func (b *Batch) Empty() bool { return len(b.steps) == 0 }

// Short is the error of a statement that changed other rows than it was to.
type Short struct {
	Text      string
	Got, Want int64
}

// Error tells the numbers.
func (s *Short) Error() string {
	return fmt.Sprintf("postgres: a statement concerned %d rows, not %d", s.Got, s.Want)
}

// Send has the server carry out a batch. After the first statement that fails none of the others is carried out, but
// only what the server refuses is a failure to it: an error of each, or a Short, comes when all was done, and is to be
// followed by a rollback. Inside a transaction, therefore, the last statement of a batch is COMMIT only where neither
// can be.
func (c *Conn) Send(ctx context.Context, b *Batch) error {
	stmts := make([]*statement, len(b.steps))
	for i, s := range b.steps {
		var err error
		if stmts[i], err = c.prepare(ctx, s.text, s.args); err != nil {
			return err
		}
	}
	p := c.raw.StartPipeline(ctx)
	for i, s := range b.steps {
		values, err := stmts[i].values(s.args)
		if err != nil {
			_ = p.Close() // nothing was sent
			return err
		}
		p.SendQueryPrepared(stmts[i].name, values, binaryFormat(), binaryFormat())
	}
	err := p.Sync()
	var failed error
	for i := 0; i < len(b.steps) && err == nil; i++ {
		var results any
		if results, err = p.GetResults(); err != nil {
			break
		}
		rr, ok := results.(*pgconn.ResultReader)
		if !ok {
			err = fmt.Errorf("postgres: the server answered %T out of turn", results)
			break
		}
		var n int64
		n, err = read(rr, b.steps[i].each)
		if want := b.steps[i].want; err == nil && want >= 0 && n != want && failed == nil {
			failed = &Short{b.steps[i].text, n, want}
		}
	}
	if e := p.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = failed
	}
	return err
}
