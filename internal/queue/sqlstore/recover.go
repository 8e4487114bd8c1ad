package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/group"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
	"postern/internal/queue/young"
)

// lookAtJournal opens the journal, which changes nothing, and refuses to make a database where there was one.
func (s *Store) lookAtJournal() error {
	var err error
	s.journal, err = wal.Open(wal.Config{Dir: filepath.Join(s.cfg.Dir, "journal"), Disk: s.cfg.journalDisk,
		SegmentSize: s.cfg.segment})
	if errors.Is(err, wal.ErrNewerFormat) {
		return fmt.Errorf("%w: %w", queue.ErrNewerForm, err)
	}
	if err != nil || !s.databaseMissing() || s.cfg.salvage {
		return err
	}
	bodies, err := s.spool.Bodies()
	if err == nil && (len(bodies) > 0 || !s.journal.Empty()) {
		err = fmt.Errorf("%w: %s is missing or empty, and beside it stand a journal or %d bodies of mail",
			queue.ErrDamaged, s.file(), len(bodies))
	}
	return err
}

// databaseMissing reports whether there is no database, or nothing in it.
func (s *Store) databaseMissing() bool {
	info, err := os.Stat(s.file())
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

// examined is the size in bytes up to which the whole database is looked at on each start: that takes less than a
// second.
const examined = 64 << 20

// examine lets SQLite look for damage where that is cheap. It finds what is damaged in the structure, not in the
// values.
func (s *Store) examine(c *sqlite.Conn) error {
	info, err := os.Stat(s.file())
	if err != nil || info.Size() > examined {
		return nil // a damaged page is then told when it is read
	}
	found := "ok"
	err = c.Query(context.Background(), "PRAGMA quick_check(1)", func(r database.Row) error {
		found = r.Text(0)
		return database.ErrStop
	})
	if err == nil && found != "ok" {
		err = fmt.Errorf("%w: queue.db does not hold together: %s", queue.ErrDamaged, found)
	}
	return sqlite.Translate(err)
}

// openJournal brings what the last process left in the journal into the database, and begins a new run.
func (s *Store) openJournal() error {
	left, err := s.replay()
	if err != nil {
		return err
	}
	if err := s.bringLeft(left); err != nil {
		return err
	}
	return s.beginRun()
}

// bringLeft stores messages of the journal, in order of their numbers.
func (s *Store) bringLeft(left []*stored.Message) error {
	for len(left) > 0 {
		chunk := left[:min(young.Chunk, len(left))]
		if left = left[len(chunk):]; len(left) > 0 {
			s.unread = left[0].Seq
		} else {
			s.unread = 0
		}
		results, err := s.writer.attempt([]group.Change[*txn]{func(t *txn) error {
			for _, n := range chunk {
				if err := t.store(n); err != nil {
					return err
				}
			}
			return nil
		}})
		if err == nil {
			err = results[0] // of a request that failed with its first statement
		}
		if err != nil {
			return fmt.Errorf("sqlstore: bringing the journal into the database: %w", err)
		}
	}
	return nil
}

// newFinds reads nothing yet.
func (s *Store) newFinds() *young.Finds { return young.NewFinds(behind{s}, s.known, s.applied) }

// behind is the database behind the journal, at start.
type behind struct{ s *Store }

// HasID asks for a message.
func (b behind) HasID(id queue.ID) (bool, error) {
	n, err := b.s.writer.c.Number(context.Background(), "SELECT count(*) FROM message WHERE id = ?", string(id))
	return n > 0, err
}

// HasSeq asks for a number.
func (b behind) HasSeq(seq int64) (bool, error) {
	n, err := b.s.writer.c.Number(context.Background(), "SELECT count(*) FROM message WHERE seq = ?", seq)
	return n > 0, err
}

// Behind lists the numbers behind one.
func (b behind) Behind(seq int64) (map[int64]bool, error) {
	out := map[int64]bool{}
	err := b.s.writer.c.Query(context.Background(), "SELECT seq FROM message WHERE seq > ?",
		func(r database.Row) error {
			out[r.Int(0)] = true
			return nil
		}, seq)
	return out, err
}

// replay reads the journal and returns the messages that did not come into the database, as they stood. Damage is
// named, with what it may have cost.
func (s *Store) replay() ([]*stored.Message, error) {
	f := s.newFinds()
	err := s.journal.Replay(s.known, func(payload []byte) error { return f.Read(s.known.Last.Run, payload) })
	if err == nil {
		err = f.Settle()
	}
	switch {
	case errors.Is(err, queue.ErrNewerForm):
		return nil, err
	case errors.Is(err, wal.ErrDamaged), errors.Is(err, young.ErrRecord):
		return nil, fmt.Errorf("%w: %w; %s", queue.ErrDamaged, err, s.cost())
	case err != nil:
		return nil, err
	}
	s.note(f)
	return f.Left, nil
}

// cost says what damage may have cost, as far as the numbers of messages tell.
func (s *Store) cost() string {
	r, _, err := s.survey()
	if err != nil {
		return "what it may have cost cannot be told: " + err.Error()
	}
	return r.Cost()
}
