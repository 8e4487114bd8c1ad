package sqlstore

import (
	"context"
	"fmt"

	"postern/internal/queue"
	"postern/internal/queue/spool"
	"postern/internal/queue/stored"
)

// ready prepares a submission; a large body is durable afterwards.
func (s *Store) ready(sub *queue.Submission) (*stored.Message, *spool.Draft, error) {
	if err := sub.Check(); err != nil {
		return nil, nil, err
	}
	d, ok := sub.Body.(*spool.Draft)
	if !ok || !d.Of(s.spool) {
		return nil, nil, fmt.Errorf("sqlstore: the body of message %s is not a draft of this store", sub.Message.ID)
	}
	body, err := d.Seal()
	if err != nil {
		return nil, nil, err
	}
	n, err := stored.Ready(sub, body)
	return n, d, err
}

// NewDraft begins a body.
func (s *Store) NewDraft(ctx context.Context) (queue.Draft, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if s.broken.Load() {
		return nil, queue.ErrBroken
	}
	return s.spool.NewDraft(), nil
}

// Takes says what a message would hear that is handed to Accept now: nil where it would be stored (see spool).
func (s *Store) Takes() error {
	switch {
	case s.gate.Closed():
		return queue.ErrClosed
	case s.broken.Load():
		return queue.ErrBroken
	}
	return s.spool.Takes()
}

// Free is how many bytes of the disk are left for mail, and how many of them are kept for the mail that is in the
// queue.
func (s *Store) Free() (free, kept uint64, err error) { return s.spool.Free() }

// Accept stores one message (G1): it is in the journal when Accept returns, and comes into the database later.
func (s *Store) Accept(ctx context.Context, sub *queue.Submission) (err error) {
	defer func() { s.spool.NoteRoom(err) }()
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if s.broken.Load() {
		return queue.ErrBroken
	}
	if err := s.spool.Room(); err != nil {
		return err
	}
	if err := s.breathe(); err != nil {
		return err
	}
	n, d, err := s.ready(sub)
	if err != nil {
		return err
	}
	if err := s.journalize(ctx, &entry{accept: n}); err != nil {
		return err
	}
	d.HandOver()
	n.Tell(sub)
	return nil
}

// insert stores a message that was not in the journal.
func (t *txn) insert(n *stored.Message) error {
	m := &n.Message
	exists := !t.enter(m.ID)
	if !exists {
		seq, err := t.Number(context.Background(), "SELECT seq FROM message WHERE id = ?", string(m.ID))
		if err != nil {
			return err
		}
		exists = seq != 0
	}
	if exists {
		return fmt.Errorf("sqlstore: message %s exists", m.ID)
	}
	t.s.mu.Lock()
	n.Number(t.s.order.Next(m.AcceptedAt))
	t.s.mu.Unlock()
	return t.store(n)
}

// enter takes an ID until the transaction ends, so that no mail comes into the journal under it; false means that it is
// taken.
func (t *txn) enter(id queue.ID) bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if !t.s.young.Enter(id) {
		return false
	}
	t.entered = append(t.entered, id)
	t.undo = append(t.undo, func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		t.s.young.Leave(id)
	})
	return true
}

// leave gives up what enter took: the database tells now what is taken. The caller holds mu.
func (t *txn) leave() {
	for _, id := range t.entered {
		t.s.young.Leave(id)
		t.s.young.Inserts++
	}
}

// store writes the rows of a message, as it stands.
func (t *txn) store(n *stored.Message) error {
	t.s.mu.Lock()
	t.s.young.Floor = max(t.s.young.Floor, n.ID)
	t.s.mu.Unlock()
	return t.Store(n)
}
