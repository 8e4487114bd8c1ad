package sqlstore

import (
	"testing"

	"postern/internal/history/peers"
	"postern/internal/queue/storetest"
)

func TestPeers(t *testing.T) {
	storetest.RunBook(t, func(t *testing.T) (storetest.Book, func() storetest.Book) {
		dir := t.TempDir()
		s := open(t, dir)
		t.Cleanup(func() { _ = s.Close() })
		return s, func() storetest.Book {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			next := open(t, dir)
			t.Cleanup(func() { _ = next.Close() })
			return next
		}
	})
}

// TestOldFormRemembersPeers: data of form 1, which knew no peers, is brought to the newest form and keeps them.
func TestOldFormRemembersPeers(t *testing.T) {
	dir := fixture(t)
	s := open(t, dir)
	defer s.Close()
	if list, err := s.Peers(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("%d peers, %v", len(list), err)
	}
	if err := s.KeepPeers(t.Context(), []peers.Record{storetest.PeerRecord(1)}, nil, 10); err != nil {
		t.Fatal(err)
	}
	var form int64
	err := s.read(t.Context(), func(c *conn) (err error) {
		form, err = c.number(t.Context(), "PRAGMA user_version")
		return err
	})
	if err != nil || form != int64(len(migrations)) {
		t.Errorf("form %d, %v; want %d", form, err, len(migrations))
	}
}
