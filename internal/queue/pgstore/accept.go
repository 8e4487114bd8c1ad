package pgstore

import (
	"context"
	"fmt"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// skewStep is by how much times of acceptance may lie behind those of lower numbers before that is written down;
// skewMost is how far two messages that are being stored at the same time may lie apart without either seeing the
// other. See Known.
const (
	skewStep = 30 * time.Second
	skewMost = 2 * time.Minute
)

// ready prepares a submission; what is written of a large body is in the database afterwards.
func (s *Store) ready(sub *queue.Submission) (*stored.Message, error) {
	if err := sub.Check(); err != nil {
		return nil, err
	}
	d, ok := sub.Body.(*draft)
	if !ok || d.s != s {
		return nil, fmt.Errorf("pgstore: the body of message %s is not a draft of this store", sub.Message.ID)
	}
	body, err := d.seal()
	if err != nil {
		return nil, err
	}
	n, err := stored.Ready(sub, body)
	if err != nil {
		return nil, err
	}
	n.Sender = stored.Legible(n.Sender)
	for i := range n.Deliveries {
		n.Deliveries[i].Canonical = stored.Legible(n.Deliveries[i].Canonical)
	}
	return n, nil
}

// Accept stores one message (G1).
func (s *Store) Accept(ctx context.Context, sub *queue.Submission) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if err := s.Room(); err != nil {
		return err
	}
	n, err := s.ready(sub)
	if err != nil {
		return err
	}
	err = s.mail.do(ctx, len(n.Body.Data), func(t *txn) error {
		t.expect(n)
		t.fenced = s.cfg.Session != ""
		t.then(func() error {
			if t.fenced && !t.leased {
				return ErrNoLease
			}
			if err := t.sound(); err != nil {
				return err
			}
			if err := t.insert(n); err != nil {
				return err
			}
			t.want(n)
			return nil
		})
		return nil
	})
	if err != nil {
		return exists(err, n.ID)
	}
	sub.Body.(*draft).handOver()
	n.Tell(sub)
	return nil
}

// exists says what a key that is taken means for a message.
func exists(err error, id queue.ID) error {
	if postgres.Code(err) == postgres.Unique {
		return fmt.Errorf("pgstore: message %s exists: %w", id, err)
	}
	return err
}

// expect has a number and, for a large body, its draft looked up.
func (t *txn) expect(n *stored.Message) {
	t.messages++
	t.refers = true
	if n.Body.File != "" {
		t.bodies = append(t.bodies, n.Body.File)
	}
}

// insert plans to store a message. One whose ID is taken makes the transaction fail.
func (t *txn) insert(n *stored.Message) error {
	if file := n.Body.File; file != "" {
		if w := t.drafts[file]; w.bytes != n.Size || w.chunks != pgtables.ChunksOf(n.Size) {
			return notHere(n.ID)
		}
	}
	n.Number(t.seqs[0])
	t.seqs = t.seqs[1:]
	if n.Body.File != "" {
		t.handedOver = append(t.handedOver, n.Body.File)
	}
	for i := range n.Deliveries {
		d := &n.Deliveries[i]
		put(&t.newSites, d.Site, d.At)
		t.states[stored.State(d.State)]++
	}
	t.bodyBytes += n.Size
	t.newMail = append(t.newMail, n)
	return nil
}
