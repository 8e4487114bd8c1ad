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
}

// Add appends a statement; each, which may be nil, is called for every row of its answer.
func (b *Batch) Add(text string, each func(r database.Row) error, args ...any) {
	b.steps = append(b.steps, step{text, args, each})
}

// Empty reports whether there is nothing to send.
func (b *Batch) Empty() bool { return len(b.steps) == 0 }

// Send has the server carry out a batch. After the first statement that it refuses none of the others is carried out,
// COMMIT neither. An error of each comes when all was done. The error is ErrUnsure where the last is a COMMIT that was
// done, and nobody knows how well.
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
	for i := 0; i < len(b.steps) && err == nil; i++ {
		c.session.warning = "" // of the step before, which is no COMMIT
		var results any
		if results, err = p.GetResults(); err != nil {
			break
		}
		rr, ok := results.(*pgconn.ResultReader)
		if !ok {
			err = fmt.Errorf("postgres: the server answered %T out of turn", results)
			break
		}
		_, err = c.read(rr, b.steps[i].each)
	}
	if e := p.Close(); err == nil {
		err = e
	}
	if c.heard(err) == nil {
		err = c.sure()
	}
	return err
}
