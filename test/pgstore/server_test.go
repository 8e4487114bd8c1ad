// Package pgstore holds the store on PostgreSQL against the conformance suite, on a real server that the tests start.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"postern/internal/lab/postgres"
	store "postern/internal/queue/pgstore"
)

// server is the one server of this run of tests, started by the first who needs it.
var server = sync.OnceValues(func() (*postgres.Server, error) { return postgres.Start() })

func TestMain(m *testing.M) {
	code := m.Run()
	if s, err := server(); err == nil { // starts one where no test did, which costs a second
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// database makes an empty database and returns its address. Where there is no PostgreSQL the test skips, and fails
// with CI set.
func database(t testing.TB) string {
	t.Helper()
	s, err := server()
	if errors.Is(err, postgres.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Database(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// open opens a store on a database.
func open(t testing.TB, url string) *store.Store {
	t.Helper()
	return opened(t, store.Config{URL: url})
}

func opened(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
