package harness

import (
	"errors"
	"os"
	"testing"

	"postern/internal/lab/postgres"
)

// Database starts a PostgreSQL for one test. Where there is none the test skips, and fails with CI set.
func Database(t testing.TB) *postgres.Server {
	t.Helper()
	db, err := postgres.Start()
	if errors.Is(err, postgres.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	return db
}
