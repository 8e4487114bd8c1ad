package sqlstore

import (
	"context"

	"postern/internal/history/peers"
)

// Peers returns every record of a peer, the one that answered last first.
func (s *Store) Peers(ctx context.Context) (out []peers.Record, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, "SELECT facts FROM peer ORDER BY seen DESC, name", func(row row) error {
			var r peers.Record
			if err := decode(row.text(0), &r); err != nil {
				return err
			}
			out = append(out, r)
			return nil
		})
	})
	return out, err
}

// KeepPeers stores records, forgets others, and keeps at most so many: those that answered last. All or nothing.
func (s *Store) KeepPeers(ctx context.Context, put []peers.Record, forget []peers.Key, most int) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.do(ctx, 0, func(t *txn) error {
		for i := range put {
			if err := t.putPeer(&put[i]); err != nil {
				return err
			}
		}
		for _, k := range forget {
			if err := t.exec("DELETE FROM peer WHERE name = ?", peerName(k)); err != nil {
				return err
			}
		}
		n, err := t.c.number(context.Background(), "SELECT count(*) FROM peer")
		if err != nil || n <= int64(most) {
			return err
		}
		return t.exec("DELETE FROM peer WHERE name IN (SELECT name FROM peer ORDER BY seen, name LIMIT ?)", n-int64(most))
	})
}

func (t *txn) putPeer(r *peers.Record) error {
	text, err := encode(r)
	if err != nil {
		return err
	}
	return t.exec("INSERT INTO peer (name, seen, facts) VALUES (?, ?, ?) "+
		"ON CONFLICT (name) DO UPDATE SET seen = excluded.seen, facts = excluded.facts",
		peerName(r.Key()), r.LastSeen.UnixMicro(), text)
}

func peerName(k peers.Key) string { return k.Host + " " + k.Addr.String() }
