package sqlstore

import (
	"context"

	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

// Pins returns what is remembered of the mail hosts of a domain, of all domains when it is "".
func (s *Store) Pins(ctx context.Context, domain string) (out []mxpins.Pin, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.read(ctx, func(c *conn) (err error) {
		out, err = pins(ctx, c, domain, "")
		return err
	})
	return out, err
}

// pins reads; "" is every domain, and every rule.
func pins(ctx context.Context, c *conn, domain, rule string) (out []mxpins.Pin, err error) {
	const text = "SELECT domain, rule, name, since, taught_by FROM pin WHERE (? = '' OR domain = ?) AND (? = '' OR rule = ?) ORDER BY domain, rule, name"
	err = c.query(ctx, text, func(r row) error {
		out = append(out, mxpins.Pin{Domain: r.text(0), Rule: r.text(1), Name: r.text(2), Since: r.time(3), By: r.text(4)})
		return nil
	}, domain, domain, rule, rule)
	return out, err
}

// Remember adds pins in one transaction.
func (s *Store) Remember(ctx context.Context, first bool, add []mxpins.Pin) (added []mxpins.Pin, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.do(ctx, 0, func(t *txn) error {
		added = nil // run may be called twice
		known := map[[2]string]bool{}
		for _, p := range add {
			at := [2]string{p.Domain, p.Rule}
			if _, asked := known[at]; !asked {
				n, err := t.c.number(context.Background(), "SELECT count(*) FROM pin WHERE domain = ? AND rule = ? AND taught_by <> ?", p.Domain, p.Rule, mxpins.Seen)
				if err != nil {
					return err
				}
				known[at] = n > 0
			}
			if first && known[at] {
				continue
			}
			p.Since = queue.Kept(p.Since)
			n, err := t.changed(`INSERT INTO pin (domain, rule, name, since, taught_by) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET since = excluded.since, taught_by = excluded.taught_by
				WHERE taught_by = ? AND excluded.taught_by <> taught_by`,
				p.Domain, p.Rule, p.Name, stamp(p.Since), p.By, mxpins.Seen)
			if err != nil {
				return err
			}
			if n > 0 {
				added = append(added, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// Unpin forgets what is remembered of a domain.
func (s *Store) Unpin(ctx context.Context, domain, rule string) (was []mxpins.Pin, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	err = s.do(ctx, 0, func(t *txn) (err error) {
		if was, err = pins(context.Background(), t.c, domain, rule); err != nil || len(was) == 0 {
			return err
		}
		return t.exec("DELETE FROM pin WHERE domain = ? AND (? = '' OR rule = ?)", domain, rule, rule)
	})
	if err != nil {
		return nil, err
	}
	return was, nil
}
