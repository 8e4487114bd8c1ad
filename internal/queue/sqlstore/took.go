package sqlstore

import (
	"context"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
)

// TookMail looks through the newest deliveries for sites that took mail, in one pass over the end of the table.
func (s *Store) TookMail(ctx context.Context, since time.Time, limit int) (map[queue.SiteKey]time.Time, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if err := s.settleDown(ctx); err != nil {
		return nil, err
	}
	out := map[queue.SiteKey]time.Time{}
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return c.Query(ctx, `SELECT s.key, max(d.finished) FROM
			(SELECT id, site, state, finished FROM delivery ORDER BY id DESC LIMIT ?) d
			JOIN message m ON m.Seq = d.id / ? JOIN site s ON s.id = d.site
			WHERE d.state = ? AND d.finished >= ? AND m.sender <> '' GROUP BY d.site`, func(r database.Row) error {
			out[queue.SiteKey(r.Text(0))] = r.Time(1)
			return nil
		}, int64(limit), int64(queue.MaxDeliveries), stored.State(queue.Delivered), since.UnixMicro())
	})
	return out, err
}
