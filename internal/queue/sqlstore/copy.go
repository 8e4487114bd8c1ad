package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/storecopy"
)

// How the store stands to copies is a row of a table that is there only then. So that releases that know nothing of it
// keep their hands off, the application id in the header of the database says it too: to them the file is a foreign
// one.
const (
	movedID      = 0x5073546d // "PsTm"
	unfinishedID = 0x50735475 // "PsTu"
)

// lookAtStanding refuses a store that is not to be opened, and returns what its header says.
func (s *Store) lookAtStanding(c *sqlite.Conn) (mark int64, err error) {
	mark, err = c.Number(context.Background(), "PRAGMA application_id")
	if err != nil || mark != movedID && mark != unfinishedID {
		return sqltables.ApplicationID, sqlite.Translate(err)
	}
	if s.cfg.copied {
		return mark, nil
	}
	standing, err := readStanding(context.Background(), c)
	if err == nil {
		err = standing.Closed(s.cfg.Dir)
	}
	if err == nil {
		err = fmt.Errorf("%w: its header says that it was moved or is an unfinished copy, and it does not say of what",
			sqlite.ErrForeign)
	}
	return mark, err
}

func readStanding(ctx context.Context, c *sqlite.Conn) (s storecopy.Standing, err error) {
	n, err := c.Number(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'standing'")
	if err != nil || n == 0 {
		return s, sqlite.Translate(err)
	}
	s, err = storecopy.ReadStanding(ctx, c)
	return s, sqlite.Translate(err)
}

// Side is the store as storecopy sees it. Use OpenSide.
type Side struct {
	s *Store
	c *sqlite.Conn
}

var _ storecopy.Side = (*Side)(nil)

// OpenSide opens a data folder for a copy, whatever its standing is, making it if there is none, and brings what is in
// the journal into the database. It answers the other errors of Open.
func OpenSide(cfg Config) (*Side, error) {
	cfg.copied = true
	s := newStore(cfg)
	s.gate.Close() // to everybody else
	if err := s.openAlone(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return &Side{s, s.writer.c}, nil
}

// Named is the data folder.
func (s *Side) Named() string { return s.s.cfg.Dir }

// Close gives up the folder.
func (s *Side) Close() error { return s.s.release() }

// Standing reads it.
func (s *Side) Standing(ctx context.Context) (storecopy.Standing, error) {
	return readStanding(ctx, s.c)
}

// Stand writes it, and what the header says, in one transaction.
func (s *Side) Stand(_ context.Context, to storecopy.Standing) error {
	mark := int64(sqltables.ApplicationID)
	switch to.Word {
	case storecopy.Moved:
		mark = movedID
	case storecopy.Unfinished:
		mark = unfinishedID
	}
	return s.within(func() error {
		if err := s.c.Script(fmt.Sprintf("CREATE TABLE IF NOT EXISTS standing (word TEXT NOT NULL, id TEXT NOT "+
			"NULL, other TEXT NOT NULL, named TEXT NOT NULL); DELETE FROM standing; PRAGMA application_id=%d",
			mark)); err != nil {
			return err
		}
		return s.c.Exec(storecopy.InsertStanding, to.Values()...)
	})
}

// within makes changes in one transaction.
func (s *Side) within(do func() error) error {
	err := s.c.Script("BEGIN IMMEDIATE")
	if err != nil {
		return sqlite.Translate(err)
	}
	if err = do(); err == nil {
		err = s.c.Script("COMMIT")
	}
	if err != nil {
		_ = s.c.Script("ROLLBACK") // SQLite may have ended it already
	}
	return sqlite.Translate(err)
}

// Query reads.
func (s *Side) Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) error {
	return sqlite.Translate(s.c.Query(ctx, text, each, args...))
}

// Replace stores rows. Files of bodies that no message names any more are swept away by Finish.
func (s *Side) Replace(ctx context.Context, t *storecopy.Table, in storecopy.Span, rows [][]any) error {
	columns, places := t.Names(), "?"
	for range len(t.Columns) - 1 {
		places += ", ?"
	}
	if t.Name == "site" {
		columns, places = columns+", refs", places+", 0"
	}
	where, args := t.Where(in)
	insert := "INSERT INTO " + t.Name + " (" + columns + ") VALUES (" + places + ")"
	return s.within(func() error {
		if err := s.c.Exec("DELETE FROM "+t.Name+where, args...); err != nil {
			return err
		}
		for _, row := range rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.c.Exec(insert, row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Body opens the file of a large body.
func (s *Side) Body(_ context.Context, file string) (io.ReadCloser, error) {
	return os.Open(s.s.spool.Path(file))
}

// PutBody makes a file, which is durable then.
func (s *Side) PutBody(ctx context.Context, from io.Reader) (file string, err error) {
	d := s.s.spool.NewDraft()
	if err := d.Apart(); err != nil {
		return "", err
	}
	buf := make([]byte, 64<<10)
	for from != nil && err == nil {
		var n int
		n, err = from.Read(buf)
		if _, e := d.Write(buf[:n]); e != nil {
			err = e
		} else if err == nil {
			err = ctx.Err()
		}
	}
	if err != nil && err != io.EOF {
		return "", errors.Join(err, d.Discard())
	}
	body, err := d.Seal()
	if err == nil && from == nil {
		err = s.s.spool.Remove(body.File) // a name with nothing behind it
	}
	d.Accepted()
	return body.File, err
}

// Order reads the row of totals.
func (s *Side) Order(ctx context.Context) (last, dayKeys int64, err error) {
	err = s.Query(ctx, "SELECT last_seq, day_keys FROM totals", func(r database.Row) error {
		last, dayKeys = r.Int(0), r.Int(1)
		return nil
	})
	return last, dayKeys, err
}

// Finish counts, and sweeps away what no message names. The triggers have kept the tables that searches look into.
func (s *Side) Finish(ctx context.Context, n *storecopy.Counts) error {
	err := s.within(func() error {
		if err := s.c.Exec("UPDATE site SET refs = 0 WHERE refs <> 0"); err != nil {
			return err
		}
		if err := s.c.Exec("UPDATE site SET refs = c.n FROM (SELECT site, count(*) AS n FROM delivery GROUP BY " +
			"site) c WHERE c.site = site.id"); err != nil {
			return err
		}
		args := append([]any{n.LastSeq, n.Newest, n.Skew, n.BodyBytes, max(n.DayKeys, 0)}, n.States.Values()...)
		return s.c.Exec("UPDATE totals SET last_seq=?1, newest=?2, skew=?3, body_bytes=?4, applied=?1, day_keys=?5, "+
			"indexed=0, queued=?6, held=?7, delivered=?8, failed=?9, cancelled=?10", args...)
	})
	if err != nil {
		return err
	}
	return s.s.spool.Sweep(func(name string) (bool, error) {
		n, err := s.c.Number(ctx, "SELECT count(*) FROM message WHERE file = ?", name)
		return n > 0, sqlite.Translate(err)
	})
}
