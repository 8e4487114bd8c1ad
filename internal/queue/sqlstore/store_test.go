package sqlstore

import (
	"testing"

	"postern/internal/queue"
	"postern/internal/queue/storetest"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) queue.Store { return open(t, t.TempDir()) })
}
