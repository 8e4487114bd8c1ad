package pgstore

import (
	"context"
	"slices"

	"postern/internal/queue"
	"postern/internal/queue/group"
	"postern/internal/queue/postgres"
)

// question is what one caller of Wished asks.
type question struct {
	ids  []queue.DeliveryID
	told chan answer // capacity 1
}

type answer struct {
	wished []queue.DeliveryID
	err    error
}

// Weight is that of a question among others.
func (q *question) Weight() int { return len(q.ids) }

// Wished returns what is not to be sent any more. It is asked before each message, by all workers: one statement
// answers all that wait, and every answer is of a moment after its question.
func (s *Store) Wished(ctx context.Context, ids []queue.DeliveryID) ([]queue.DeliveryID, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if len(ids) == 0 {
		return nil, nil
	}
	q := &question{ids: ids, told: make(chan answer, 1)}
	select {
	case s.questions <- q:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-q.told:
		return a.wished, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answerLoop answers questions until there are no more.
func (s *Store) answerLoop() {
	for first := range s.questions {
		s.answer(group.Gather(s.questions, first))
	}
}

func (s *Store) answer(asked []*question) {
	var ids, found []queue.DeliveryID
	for _, q := range asked {
		ids = append(ids, q.ids...)
	}
	ctx, cancel := context.WithTimeout(s.life, s.cfg.Patience)
	defer cancel()
	err := s.answers.With(ctx, func(c *postgres.Conn) error {
		found = nil
		return c.Query(ctx, "SELECT delivery FROM wish WHERE withdraws AND delivery = ANY(?::bigint[])"+
			" ORDER BY delivery", collect(&found), postgres.Dialect().List(ids))
	})
	for _, q := range asked {
		a := answer{err: postgres.Translate(err)}
		for _, id := range found { // few, and mostly none
			if slices.Contains(q.ids, id) {
				a.wished = append(a.wished, id)
			}
		}
		q.told <- a
	}
}
