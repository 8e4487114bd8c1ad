package sqlstore

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/queue"
)

// TestDamagedContent: a body that is not what was stored is never given out, wherever it is kept and whatever became of
// it; one that was stored before there were checksums is held to its length.
func TestDamagedContent(t *testing.T) {
	body := func(s *Store) string {
		found, err := filepath.Glob(filepath.Join(filepath.Join(s.cfg.Dir, "spool"), "*.body"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		return found[0]
	}
	change := func(off int64, mask byte) func(s *Store) error {
		return func(s *Store) error { return flipped("spool/"+filepath.Base(body(s)), off, mask)(s.cfg.Dir) }
	}
	old := func(s *Store) error {
		return s.writer.c.Exec("UPDATE message SET facts = json_remove(facts, '$.body_sum')")
	}
	for name, c := range map[string]struct {
		size    int
		young   bool
		harm    func(s *Store) error
		damaged string // "": nothing is damaged
	}{
		"file":                  {200 << 10, false, func(*Store) error { return nil }, ""},
		"young file":            {200 << 10, true, func(*Store) error { return nil }, ""},
		"file, first bit":       {200 << 10, false, change(0, 1), "does not match its checksum"},
		"file, a bit within":    {200 << 10, false, change(100_001, 0x80), "does not match its checksum"},
		"file, last byte":       {200 << 10, false, change(200<<10-1, 0xff), "does not match its checksum"},
		"young file, a bit":     {200 << 10, true, change(77, 4), "does not match its checksum"},
		"file cut":              {200 << 10, false, func(s *Store) error { return os.Truncate(body(s), 199<<10) }, "has 203776 bytes"},
		"file empty":            {200 << 10, false, func(s *Store) error { return os.Truncate(body(s), 0) }, "has 0 bytes"},
		"file longer":           {200 << 10, false, func(s *Store) error { return os.Truncate(body(s), 201<<10) }, "has 205824 bytes"},
		"file gone":             {200 << 10, false, func(s *Store) error { return os.Remove(body(s)) }, "is gone"},
		"young file gone":       {200 << 10, true, func(s *Store) error { return os.Remove(body(s)) }, "is gone"},
		"old file":              {200 << 10, false, old, ""},
		"old file cut":          {200 << 10, false, func(s *Store) error { return errors.Join(old(s), os.Truncate(body(s), 1)) }, "has 1 bytes"},
		"row":                   {500, false, func(*Store) error { return nil }, ""},
		"row, another":          {500, false, func(s *Store) error { return s.writer.c.Exec("UPDATE body SET data = zeroblob(500)") }, "does not match"},
		"row, shorter":          {500, false, func(s *Store) error { return s.writer.c.Exec("UPDATE body SET data = zeroblob(499)") }, "has 499 bytes"},
		"row gone":              {500, false, func(s *Store) error { return s.writer.c.Exec("DELETE FROM body") }, "has 0 bytes"},
		"old row":               {500, false, old, ""},
		"empty":                 {0, false, func(*Store) error { return nil }, ""},
		"the folder of bodies":  {200 << 10, false, func(s *Store) error { return os.RemoveAll(filepath.Join(s.cfg.Dir, "spool")) }, "is gone"},
		"a folder for the file": {200 << 10, false, func(s *Store) error { p := body(s); return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "bytes in spool"},
	} {
		t.Run(name, func(t *testing.T) {
			s := still(t, t.TempDir())
			defer s.Close()
			err := put(t, s, "m", c.size)
			if err == nil && !c.young {
				err = s.settleDown(t.Context())
			}
			if err = errors.Join(err, c.harm(s)); err != nil {
				t.Fatal(err)
			}
			r, err := s.Open(t.Context(), "m")
			if c.damaged != "" {
				if !errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), c.damaged) || !strings.Contains(err.Error(), "message m ") {
					t.Errorf("%v, want ErrDamaged and %q", err, c.damaged)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if b, err := io.ReadAll(r); err != nil || len(b) != c.size {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
	s := still(t, t.TempDir())
	defer s.Close()
	if err := errors.Join(put(t, s, "m", 200<<10), finish(t, s)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), "m"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("the content of a message that ended: %v, want ErrNotFound", err)
	}
}
