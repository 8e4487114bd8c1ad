package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"postern/internal/journal"
	"postern/internal/queue"
)

// openJournal brings what the last process left in the journal into the database, and begins a new journal.
func (s *Store) openJournal() error {
	var err error
	s.journal, err = journal.Open(journal.Config{Dir: filepath.Join(s.cfg.Dir, "journal"), Disk: s.cfg.journalDisk})
	if errors.Is(err, journal.ErrNewerFormat) {
		return fmt.Errorf("%w: %w", queue.ErrNewerForm, err)
	}
	if err != nil {
		return err
	}
	left, err := s.replay()
	if err != nil {
		return err
	}
	for len(left) > 0 {
		chunk := left[:min(moveChunk, len(left))]
		if left = left[len(chunk):]; len(left) > 0 {
			s.unread = left[0].seq
		} else {
			s.unread = 0
		}
		results, err := s.writer.attempt([]*request{{run: func(t *txn) error {
			for _, n := range chunk {
				if err := t.store(n); err != nil {
					return err
				}
			}
			return nil
		}}})
		if err == nil {
			err = results[0] // of a request that failed with its first statement
		}
		if err != nil {
			return fmt.Errorf("sqlstore: bringing the journal into the database: %w", err)
		}
	}
	return s.journal.Begin()
}

// replay reads the journal and returns the messages that did not come into the database, as they stood.
func (s *Store) replay() ([]*newMessage, error) {
	found, applied := map[int64]*newMessage{}, s.applied
	var left []*newMessage
	err := s.journal.Replay(func(payload []byte) error {
		if len(payload) == 0 {
			return errRecord
		}
		switch payload[0] {
		case kindAccept:
			n, err := s.readAccept(payload[1:])
			if err != nil {
				return err
			}
			if n.seq <= applied {
				return nil
			}
			s.order.lastSeq = max(s.order.lastSeq, n.seq)
			s.order.note(n.message.AcceptedAt)
			if there, err := s.has(n.seq); err != nil || there {
				return err
			}
			found[n.seq], left = n, append(left, n)
			return nil
		case kindSettle:
			b, err := readSettle(payload[1:])
			if err != nil {
				return err
			}
			return b.replay(found)
		}
		return kindError(payload[0])
	})
	return left, err
}

// has reports whether the database has the message of a number.
func (s *Store) has(seq int64) (bool, error) {
	n, err := s.writer.c.number(context.Background(), "SELECT count(*) FROM message WHERE seq = ?", seq)
	return n > 0, err
}

// replay carries out what was delivered, on the messages that are not in the database: there it is known already.
func (b *batch) replay(found map[int64]*newMessage) error {
	for i := range b.settlements {
		st := &b.settlements[i]
		n := found[seqOf(st.Lease.Delivery)]
		if n == nil {
			continue
		}
		k := int(int64(st.Lease.Delivery) % queue.MaxDeliveries)
		if k >= len(n.deliveries) || !n.deliveries[k].State.Waiting() {
			return errRecord
		}
		n.deliveries[k].deliver(st, b.now)
	}
	return nil
}
