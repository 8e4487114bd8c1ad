package pgstore

import (
	"context"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
)

// overlooked goes from one site with waiting mail to the next by the index, and at each looks for the first delivery
// that nobody is at.
const overlooked = `WITH RECURSIVE w AS (
		(SELECT site FROM delivery WHERE state <= 2 ORDER BY site LIMIT 1)
		UNION ALL
		SELECT (SELECT d.site FROM delivery d WHERE d.state <= 2 AND d.site > w.site ORDER BY d.site LIMIT 1)
			FROM w WHERE w.site IS NOT NULL)
	SELECT s.key FROM w JOIN site s ON s.id = w.site CROSS JOIN LATERAL (
		SELECT d.due FROM delivery d WHERE d.site = w.site AND d.state <= 2 AND d.due <= ` + sqlNow + ` - ?1
			AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.delivery = d.id AND l.until > ` + sqlNow + `)
			AND NOT EXISTS (SELECT 1 FROM wish x WHERE x.delivery = d.id)
		ORDER BY d.site, d.due, d.id LIMIT 1) n
	WHERE coalesce(s.retry_at, 0) <= ` + sqlNow + ` - ?1 LIMIT ?2`

// sqlNow is the time of the database, as times of mail are kept.
const sqlNow = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"

// overlookedMost bounds the sites of one answer, overlookedShare how much of the time is spent on finding them: one
// part in so many.
const (
	overlookedMost  = 1000
	overlookedShare = 20
)

// Overlooked lists sites where something was due a moment ago that no gateway has claimed: mail of one that is gone, or
// has no room for it. It looks at one row or a few of each site where mail waits; where that takes long it answers
// nothing for a while.
func (s *Store) Overlooked(ctx context.Context) (out []queue.SiteKey, err error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	began := s.age()
	if int64(began) < s.rests.Load() {
		return nil, nil
	}
	err = s.readSoon(ctx, func(c *postgres.Conn) error {
		out = nil
		return c.Query(ctx, overlooked, func(r database.Row) error {
			out = append(out, queue.SiteKey(r.Text(0)))
			return nil
		}, overlookedFor.Microseconds(), int64(overlookedMost))
	})
	ended := s.age()
	s.rests.Store(int64(ended + overlookedShare*(ended-began)))
	return out, err
}

// overlookedFor is how long something has been due then. What a gateway accepts it delivers itself, mostly sooner.
const overlookedFor = 1500 * time.Millisecond
