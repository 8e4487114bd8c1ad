package memstore

import (
	"context"
	"slices"

	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

// Pins returns what is remembered of the mail hosts of a domain, of all domains when it is "".
func (s *Store) Pins(ctx context.Context, domain string) (out []mxpins.Pin, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	for _, p := range s.pins {
		if domain == "" || p.Domain == domain {
			out = append(out, p)
		}
	}
	return out, nil
}

// Remember adds pins.
func (s *Store) Remember(ctx context.Context, first bool, add []mxpins.Pin) (added []mxpins.Pin, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	before := slices.Clone(s.pins)
	for _, p := range add {
		same := func(q mxpins.Pin) bool { return q.Domain == p.Domain && q.Rule == p.Rule && q.Trusted() }
		if first && slices.ContainsFunc(before, same) {
			continue
		}
		p.Since = queue.Kept(p.Since)
		at := slices.IndexFunc(s.pins, func(q mxpins.Pin) bool { return mxpins.Compare(p, q) == 0 })
		switch {
		case at < 0:
			s.pins = append(s.pins, p)
		case p.Trusted() && !s.pins[at].Trusted():
			s.pins[at] = p
		default:
			continue
		}
		added = append(added, p)
	}
	slices.SortFunc(s.pins, mxpins.Compare)
	return added, nil
}

// Unpin forgets what is remembered of a domain.
func (s *Store) Unpin(ctx context.Context, domain, rule string) (was []mxpins.Pin, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.pins = slices.DeleteFunc(s.pins, func(p mxpins.Pin) bool {
		gone := p.Domain == domain && (rule == "" || p.Rule == rule)
		if gone {
			was = append(was, p)
		}
		return gone
	})
	return was, nil
}
