package sqlstore

import (
	"context"
	"fmt"

	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/wal"
)

// What the database remembers of the journal stands in the row of totals and is written with every transaction: the
// run, and up to where it was durable. What the journal remembers of the database is how often that row was written. So
// neither can be missing, or be an older copy, unnoticed.

// readKnown reads what the database remembers.
func readKnown(c *sqlite.Conn) (k wal.Known, err error) {
	err = c.Query(context.Background(), "SELECT run, previous, closed, segment, size, commits FROM totals",
		func(r database.Row) error {
			k = wal.Known{Last: wal.Place{Run: uint64(r.Int(0)), Index: uint64(r.Int(3)), Size: r.Int(4)},
				Previous: uint64(r.Int(1)), Closed: r.Int(2) != 0, Note: uint64(r.Int(5))}
			return database.ErrStop
		})
	return k, err
}

// beginRun begins a run of the journal, notes it, and only then forgets what was there before. The caller has brought
// that into the database.
func (s *Store) beginRun() error {
	run, err := s.journal.Begin()
	if err != nil {
		return err
	}
	err = s.writer.c.Exec("UPDATE totals SET run = ?, previous = run, closed = 0, segment = 1, size = 0,"+
		" commits = commits + 1", int64(run))
	if err != nil {
		return fmt.Errorf("sqlstore: noting the journal: %w", sqlite.Translate(err))
	}
	if s.known, err = readKnown(s.writer.c); err != nil {
		return err
	}
	s.young.Place, s.young.Told, s.begun = s.known.Last, s.known.Last, true
	aside, err := s.journal.Forget()
	for _, name := range aside {
		s.warn(fmt.Errorf("journal/%s has no readable header and was set aside; no mail is missing for it", name))
	}
	return err
}

// endRun closes the journal. When nothing in it is needed the database says so first.
func (s *Store) endRun(empty bool) error {
	if !empty || !s.begun {
		return s.journal.Close(false, 0)
	}
	err := s.writer.c.Exec("UPDATE totals SET closed = 1, commits = commits + 1")
	if err != nil {
		return s.journal.Close(false, 0) // then the next start reads it and finds that it has everything
	}
	return s.journal.Close(true, s.known.Note+1)
}

func (s *Store) warn(err error) {
	if s.cfg.Warn != nil {
		s.cfg.Warn(err)
	}
}
