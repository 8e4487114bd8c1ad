// Package pgstore holds the store on PostgreSQL against the conformance suite, on a real server that the tests start.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"postern/internal/lab/postgres"
	store "postern/internal/queue/pgstore"
)

// server is the one server of this run of tests, started by the first who needs it, and the address of its database.
var server = sync.OnceValues(func() (*postgres.Server, error) {
	return postgres.Start("autovacuum = off", "shared_buffers = 32MB") // hundreds of schemas live for a second
})

// started says that server was asked for; schemas counts them.
var started, schemas atomic.Int64

func TestMain(m *testing.M) {
	code := m.Run()
	if started.Load() > 0 {
		if s, err := server(); err == nil {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// fresh is a place for a new store: a schema of its own, which costs less than a database. Where there is no PostgreSQL
// the test skips, and fails with CI set.
func fresh(t testing.TB) store.Config {
	t.Helper()
	started.Store(1)
	s, err := server()
	if errors.Is(err, postgres.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return store.Config{URL: s.URL(), Schema: fmt.Sprintf("s%d", schemas.Add(1)), Node: "gw1"}
}

// open opens a store.
func open(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
