package sqlstore

import (
	"path/filepath"
	"testing"
)

// TestReplayRefused: what the database does not take at start is not given up: the store does not open, and the journal
// stays.
func TestReplayRefused(t *testing.T) {
	for table, finished := range map[string]bool{"message": true, "body": false} {
		t.Run(table, func(t *testing.T) {
			s := still(t, t.TempDir())
			defer s.Close()
			if err := put(t, s, "m", 100); err != nil {
				t.Fatal(err)
			}
			if finished {
				if err := finish(t, s); err != nil {
					t.Fatal(err)
				}
			}
			dir := image(t, s)
			c, err := dial(filepath.Join(dir, "queue.db"), walMode, syncFull)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if err := c.script("CREATE TRIGGER stop BEFORE INSERT ON " + table + " BEGIN SELECT RAISE(ABORT, 'no'); END"); err != nil {
				t.Fatal(err)
			}
			if s, err := Open(t.Context(), Config{Dir: dir}); err == nil {
				s.Close()
				t.Error("the store opened without the mail of the journal")
			}
			if err := c.script("DROP TRIGGER stop"); err != nil {
				t.Fatal(err)
			}
			after := open(t, dir)
			defer after.Close()
			if got := recordsOf(t, after); len(got) != 1 {
				t.Errorf("%d records, want the one that was accepted", len(got))
			}
		})
	}
}
