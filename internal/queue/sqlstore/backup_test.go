package sqlstore

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"modernc.org/sqlite"

	"postern/internal/queue"
)

// TestACopyMadeWhileTheStoreIsOpenOpens follows what docs/guide/backup.md tells administrators to do: a list, which
// brings what is young into the database, SQLite's own copy of that, then the folder of bodies. The copy lacks the
// journal, which is said, and salvaging makes it a store with all that had been accepted.
func TestACopyMadeWhileTheStoreIsOpenOpens(t *testing.T) {
	s := open(t, t.TempDir())
	for id, size := range map[queue.ID]int{"small": 100, "large": 300_000} {
		if err := put(t, s, id, size); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(recordsOf(t, s)); n != 2 {
		t.Fatalf("%d records", n)
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	backUp(t, filepath.Join(s.cfg.Dir, "queue.db"), filepath.Join(to, "queue.db"))
	if err := from(s.cfg.Dir, "spool")(to); err != nil {
		t.Fatal(err)
	}
	if err := put(t, s, "late", 100); err != nil {
		t.Errorf("after a copy nothing is accepted: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	if again, err := Open(t.Context(), Config{Dir: to}); err == nil {
		again.Close()
		t.Error("a copy without its journal opens without a word")
	}
	if _, err := Salvage(t.Context(), Config{Dir: to}); err != nil {
		t.Fatal(err)
	}
	restored := open(t, to)
	defer restored.Close()
	found := recordsOf(t, restored)
	if len(found) != 2 {
		t.Errorf("the copy holds %d deliveries, want 2", len(found))
	}
	for id := range found {
		if body, err := restored.Open(t.Context(), id); err != nil {
			t.Errorf("the body of %s: %v", id, err)
		} else {
			body.Close()
		}
	}
}

// backUp copies a database as the command .backup of sqlite3 does, from a connection of its own.
func backUp(t *testing.T, from, to string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+from+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		b, err := c.(interface {
			NewBackup(to string) (*sqlite.Backup, error)
		}).NewBackup(to)
		if err != nil {
			return err
		}
		if _, err := b.Step(-1); err != nil {
			return err
		}
		return b.Finish()
	})
	if err != nil {
		t.Fatal(err)
	}
}
