package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"postern/internal/history/peers"
)

// Peers returns every record of a peer, the one that answered last first.
func (s *Store) Peers(ctx context.Context) ([]peers.Record, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.peersByAge(), nil
}

// KeepPeers stores records, forgets others, and keeps at most so many: those that answered last.
func (s *Store) KeepPeers(ctx context.Context, put []peers.Record, forget []peers.Key, most int) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, r := range put {
		s.peers[r.Key()] = r
	}
	for _, k := range forget {
		delete(s.peers, k)
	}
	sorted := s.peersByAge()
	for _, r := range sorted[min(most, len(sorted)):] {
		delete(s.peers, r.Key())
	}
	return nil
}

// peersByAge lists the records; the caller holds mu.
func (s *Store) peersByAge() []peers.Record {
	name := func(r peers.Record) string { return r.Host + " " + r.Key().Addr.String() }
	return slices.SortedFunc(maps.Values(s.peers), func(x, y peers.Record) int {
		return cmp.Or(y.LastSeen.Compare(x.LastSeen), cmp.Compare(name(x), name(y)))
	})
}
