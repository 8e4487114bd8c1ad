package pgstore

import (
	"context"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// neglected goes from one site with waiting mail to the next by the index, and at each looks for the first delivery
// that nobody is at.
const neglected = `WITH RECURSIVE w AS (
		(SELECT site FROM delivery WHERE state <= 2 ORDER BY site LIMIT 1)
		UNION ALL
		SELECT (SELECT d.site FROM delivery d WHERE d.state <= 2 AND d.site > w.site ORDER BY d.site LIMIT 1)
			FROM w WHERE w.site IS NOT NULL)
	SELECT ` + stored.SiteColumns + `, n.due FROM w JOIN site s ON s.id = w.site CROSS JOIN LATERAL (
		SELECT d.due FROM delivery d WHERE d.site = w.site AND d.state <= 2 AND d.due <= ?1
			AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.delivery = d.id AND l.until > ?2)
			AND NOT EXISTS (SELECT 1 FROM wish x WHERE x.delivery = d.id)
		ORDER BY d.site, d.due, d.id LIMIT 1) n
	WHERE coalesce(s.retry_at, 0) <= ?1 LIMIT ?3`

// Neglected lists sites, at most limit, where something has been due since a time and no gateway has claimed it by now:
// mail of a gateway that is gone, or has no room for it. Earliest is the first Due among that; nothing else is counted.
// It looks at one row or a few of each site where mail waits.
func (s *Store) Neglected(ctx context.Context, since, now time.Time, limit int) (out []queue.Site, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *postgres.Conn) error {
		out = nil
		return c.Query(ctx, neglected, func(r database.Row) error {
			site, err := stored.ScanSite(r)
			if err != nil {
				return err
			}
			site.Earliest = r.Time(stored.SiteWidth)
			out = append(out, *site)
			return nil
		}, since.UnixMicro(), now.UnixMicro(), int64(limit))
	})
	return out, err
}
