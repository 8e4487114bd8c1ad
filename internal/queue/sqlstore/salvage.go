package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"

	"postern/internal/queue/sqlite"
	"postern/internal/queue/wal"
	"postern/internal/queue/young"
)

// Salvaged says what was damaged in a data folder and what became of it.
type Salvaged struct {
	// Damage is what was found, a sentence without its end each; none means that nothing was damaged and nothing was
	// changed.
	Damage []string
	// Recovered counts the messages that came from the journal into the database; of these Waiting still wait. Where
	// the record of a delivery is among what was lost, one that waits is sent again.
	Recovered, Waiting int
	// Gap is what nothing tells of.
	young.Gap
	// Unreadable counts records that are whole and cannot be understood.
	Unreadable int
	// Aside are the files that were kept under other names, relative to the data folder: parts of the journal, and
	// bodies that no message names.
	Aside []string
}

// Cost is one sentence, without its end, about what can be read and what may be lost.
func (r *Salvaged) Cost() string {
	return fmt.Sprintf("%d messages can be read in the journal that are not in the database; %s", r.Recovered, r.Loss())
}

// Salvage opens a data folder that Open refuses as damaged, brings all that can be read into the database, keeps what
// is damaged under other names, and leaves the folder so that Open takes it. It answers queue.ErrInUse as Open does.
// When it is ended in the middle it can be run again.
func Salvage(ctx context.Context, cfg Config) (*Salvaged, error) {
	cfg.salvage = true
	s := newStore(cfg)
	out, err := s.salvage(ctx)
	s.gate.Close()
	return out, errors.Join(err, s.release())
}

func (s *Store) salvage(ctx context.Context) (*Salvaged, error) {
	if _, err := os.Stat(s.cfg.Dir); err != nil {
		return nil, fmt.Errorf("sqlstore: there is no data folder to salvage: %w", err)
	}
	if err := s.spool.Take(); err != nil {
		return nil, err
	}
	if err := s.lookAtJournal(); err != nil {
		return nil, err
	}
	missing := s.databaseMissing()
	bodies, err := s.spool.Bodies()
	if err != nil {
		return nil, err
	}
	if missing && len(bodies) == 0 && s.journal.Empty() {
		return &Salvaged{}, nil // a folder that was never used
	}
	if err := s.openDatabase(); err != nil {
		return nil, err
	}
	damage := s.damage(missing)
	if len(damage) == 0 {
		return &Salvaged{}, nil
	}
	out, f, err := s.survey()
	if err != nil {
		return nil, err
	}
	out.Damage = damage
	if err := s.bringLeft(f.Left); err != nil {
		return nil, err
	}
	if err := s.setAside(ctx, bodies, out); err != nil {
		return nil, err
	}
	s.known.Previous = 0
	return out, s.beginRun()
}

// damage says what is wrong with the journal, in view of the database.
func (s *Store) damage(missing bool) (out []string) {
	if missing {
		out = append(out, "queue.db was missing or empty: what only it knew is lost, and a new one was made")
	}
	f := s.newFinds()
	err := s.journal.Replay(s.known, func(payload []byte) error { return f.Read(s.known.Last.Run, payload) })
	if err == nil {
		err = f.Settle()
	}
	if d, ok := errors.AsType[*wal.Damage](err); ok {
		return append(out, d.Found...)
	}
	if err != nil {
		out = append(out, err.Error())
	}
	return out
}

// survey reads everything that can be read of the journal, without changing anything on the disk.
func (s *Store) survey() (*Salvaged, *young.Finds, error) {
	f := s.newFinds()
	f.Tolerant = true
	if _, err := s.journal.Salvage(f.Read); err != nil {
		return nil, nil, err
	}
	_ = f.Settle() // tolerant: it has no errors
	out := &Salvaged{Recovered: len(f.Left), Unreadable: f.Bad}
	for _, n := range f.Left {
		if n.Open() > 0 {
			out.Waiting++
		}
	}
	last := s.order.LastSeq
	for seq := range f.Seen {
		last = max(last, seq)
	}
	gap, err := f.Gap(last)
	if err != nil {
		return nil, nil, sqlite.Translate(err)
	}
	out.Gap = gap
	if err := f.InOrder(last); err != nil {
		return nil, nil, sqlite.Translate(err)
	}
	s.note(f)
	return out, f, nil
}

// note takes what was found into the order of acceptance.
func (s *Store) note(f *young.Finds) {
	for _, n := range f.Left {
		s.order.LastSeq = max(s.order.LastSeq, n.Seq)
		s.order.Note(n.AcceptedAt)
	}
}

// setAside keeps the evidence: all that the journal was, and the bodies that no message names.
func (s *Store) setAside(ctx context.Context, bodies []string, out *Salvaged) error {
	names, err := s.journal.SetAside()
	if err != nil {
		return err
	}
	for _, name := range names {
		out.Aside = append(out.Aside, "journal/"+name)
	}
	for _, name := range bodies {
		n, err := s.writer.c.Number(ctx, "SELECT count(*) FROM message WHERE file = ?", name)
		if err != nil {
			return sqlite.Translate(err)
		}
		if n > 0 {
			continue
		}
		aside, err := s.spool.SetAside(name)
		if err != nil {
			return err
		}
		out.Aside = append(out.Aside, "spool/"+aside)
	}
	return s.spool.Sync()
}
