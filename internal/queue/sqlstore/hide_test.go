package sqlstore

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestNoFileOfTheStoreIsReadByOthers: whatever the umask, for a new store and for one that an older release made.
func TestNoFileOfTheStoreIsReadByOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, older := range []bool{false, true} {
		if older {
			for _, name := range []string{"queue.db"} {
				if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		s, err := Open(t.Context(), Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				found++
				if info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %v (older: %v)", path, info.Mode().Perm(), older)
				}
			}
			return err
		})
		if err != nil || found < 3 {
			t.Errorf("%d files: %v", found, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
