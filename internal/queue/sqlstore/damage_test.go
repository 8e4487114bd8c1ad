package sqlstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/queue"
)

// wounded is a data folder as a kill leaves it: mail in the database, and mail in several segments of the journal, some
// of it delivered, some with a body of its own. older is the same folder a while before, other that of another gateway.
type wounded struct {
	dir, older, other string
	want              map[queue.ID]queue.State
}

func wound(t *testing.T) *wounded {
	t.Helper()
	w := &wounded{want: map[queue.ID]queue.State{}}
	for _, to := range []*string{&w.other, &w.dir} {
		s := opened(t, Config{Dir: t.TempDir(), still: true, segment: 8000})
		clear(w.want)
		for i := range 40 {
			size := 300
			if i%10 == 9 {
				size = 200 << 10
			}
			id := queue.ID(fmt.Sprintf("m%03d", i))
			err := put(t, s, id, size)
			w.want[id] = queue.Queued
			if err == nil && i%4 == 1 {
				err = finish(t, s, id)
				w.want[id] = queue.Delivered
			}
			if err == nil && i == 15 {
				err = s.settleDown(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if i == 25 {
				w.older = image(t, s)
			}
		}
		s.tellPlace()
		*to = image(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(matches(t, w.dir, "journal/*.seg")); n < 3 {
		t.Fatalf("%d segments", n)
	}
	return w
}

func matches(t *testing.T, dir, pattern string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// copyOf is a folder with the same files.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// from puts parts of another folder in the place of those of dir.
func from(other string, parts ...string) func(dir string) error {
	return func(dir string) error {
		for _, part := range parts {
			if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
				return err
			}
			if out, err := exec.Command("cp", "-a", filepath.Join(other, part), dir).CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
		}
		return nil
	}
}

// without removes what patterns name.
func without(patterns ...string) func(dir string) error {
	return func(dir string) error {
		for _, p := range patterns {
			found, err := filepath.Glob(filepath.Join(dir, p))
			for _, path := range found {
				err = errors.Join(err, os.RemoveAll(path))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// flipped changes a byte of a file.
func flipped(path string, off int64, mask byte) func(dir string) error {
	return func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, path), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		b := []byte{0}
		if _, err := f.ReadAt(b, off); err != nil {
			return err
		}
		b[0] ^= mask
		_, err = f.WriteAt(b, off)
		return err
	}
}

// TestDamagedFolder: whatever is damaged, missing, older or another's, either all mail is there or Open refuses and
// says what it may have cost, changing nothing; and Salvage makes a folder that opens, with what could be read, keeping
// the rest.
func TestDamagedFolder(t *testing.T) {
	w := wound(t)
	database := []string{"queue.db", "queue.db-wal", "queue.db-shm"}
	harms := map[string]func(dir string) error{
		"nothing":            func(string) error { return nil },
		"journal gone":       without("journal"),
		"segments gone":      without("journal/*.seg"),
		"synced gone":        without("journal/synced"),
		"journal older":      from(w.older, "journal"),
		"journal of another": from(w.other, "journal"),
		"database gone":      without("queue.db*"),
		"database empty": func(dir string) error {
			return errors.Join(without("queue.db*")(dir), os.WriteFile(filepath.Join(dir, "queue.db"), nil, 0o600))
		},
		"database older":           from(w.older, database...),
		"database of another":      from(w.other, database...),
		"log of the database gone": without("queue.db-wal", "queue.db-shm"),
		"foreign files": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "journal", "README.seg"), []byte("hi"), 0o600)
		},
		"database and journal older":  from(w.older, append(database, "journal")...),
		"database and journal gone":   without("queue.db*", "journal"),
		"folder of another's journal": func(dir string) error { return from(w.other, "journal")(dir) },
	}
	for _, path := range matches(t, w.dir, "journal/*.seg") {
		name := filepath.Join("journal", filepath.Base(path))
		harms[name+" gone"] = without(name)
		harms[name+" empty"] = func(dir string) error { return os.Truncate(filepath.Join(dir, name), 0) }
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		harms[name+" cut"] = func(dir string) error { return os.Truncate(filepath.Join(dir, name), info.Size()/2) }
		for off := int64(0); off < info.Size(); off += 1511 {
			harms[fmt.Sprintf("%s changed at %d", name, off)] = flipped(name, off, 1<<(off%8))
		}
	}
	refused := 0
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, w.dir)
			if err := harm(dir); err != nil {
				t.Fatal(err)
			}
			_, bare := os.Stat(filepath.Join(dir, "queue.db"))
			before := files(t, dir)
			s, err := Open(t.Context(), Config{Dir: dir})
			if err == nil && name != "database and journal older" { // a whole backup is a whole store
				w.wantAll(t, s, dir)
				return
			}
			if err == nil {
				_ = s.Close()
				return
			}
			refused++
			if !errors.Is(err, queue.ErrDamaged) {
				t.Fatalf("%v, want ErrDamaged", err)
			}
			if bare == nil && !strings.Contains(err.Error(), "lost") && !strings.Contains(err.Error(), "is missing or empty") {
				t.Errorf("%v: nothing is said of the cost", err)
			}
			for path, content := range before {
				if files(t, dir)[path] != content {
					t.Errorf("%s was changed by a start that was refused", path)
				}
			}
			w.salvages(t, dir, name, before)
		})
	}
	if refused < 20 {
		t.Errorf("only %d starts were refused", refused)
	}
}

// files is the content of what is evidence: journal and bodies.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, sub := range []string{"journal", "spool"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, sub, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.Join(sub, e.Name())] = string(b)
		}
	}
	return out
}

// wantAll wants all mail in its state, and its content.
func (w *wounded) wantAll(t *testing.T, s *Store, dir string) {
	t.Helper()
	got := recordsOf(t, s)
	for id, state := range w.want {
		if got[id].State != state {
			t.Errorf("%s is %v, want %v", id, got[id].State, state)
		}
	}
	if len(got) != len(w.want) {
		t.Errorf("%d records, want %d", len(got), len(w.want))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	open(t, dir).Close()
}

// salvages salvages, twice, and wants a folder that opens.
func (w *wounded) salvages(t *testing.T, dir, name string, before map[string]string) {
	t.Helper()
	r, err := Salvage(t.Context(), Config{Dir: dir})
	if err != nil || len(r.Damage) == 0 {
		t.Fatalf("salvage: %+v, %v", r, err)
	}
	after := files(t, dir)
	for path, content := range before {
		kept := after[path] == content || after[path+".damaged"] == content
		if !kept && strings.HasSuffix(path, ".seg") && strings.Trim(content, "\x00") != "" {
			t.Errorf("%s was not kept", path)
		}
	}
	again, err := Salvage(t.Context(), Config{Dir: dir})
	if err != nil || len(again.Damage) > 0 {
		t.Errorf("a second salvage: %+v, %v", again, err)
	}
	s := open(t, dir)
	got := recordsOf(t, s)
	missing := 0
	for id := range w.want {
		if _, ok := got[id]; !ok {
			missing++
		}
	}
	if int64(missing) > r.Missing && r.Missing > 0 {
		t.Errorf("%d messages are missing, and %d were named", missing, r.Missing)
	}
	if strings.Contains(name, "changed at") && missing > 1 {
		t.Errorf("%d messages are missing for one changed byte: %+v", missing, r)
	}
	for id := range got {
		if got[id].State == queue.Queued && w.want[id] == queue.Queued && !strings.Contains(name, "another") {
			if body, err := s.Open(t.Context(), id); err != nil {
				t.Errorf("the body of %s: %v", id, err)
			} else {
				body.Close()
			}
		}
	}
	if err := errors.Join(put(t, s, "new", 100), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestSalvageChangesNothing where nothing is damaged: neither an open store, nor one that was closed or killed.
func TestSalvageChangesNothing(t *testing.T) {
	s := still(t, t.TempDir())
	if err := put(t, s, "m", 100); err != nil {
		t.Fatal(err)
	}
	killed := image(t, s)
	before := tree(t, s.cfg.Dir)
	if _, err := Salvage(t.Context(), Config{Dir: s.cfg.Dir}); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("beside an open store: %v, want ErrInUse", err)
	}
	if after := tree(t, s.cfg.Dir); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("a salvage beside an open store changed it")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.cfg.Dir, killed, t.TempDir()} {
		before := files(t, dir)
		r, err := Salvage(t.Context(), Config{Dir: dir})
		if err != nil || len(r.Damage) > 0 || r.Recovered > 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if after := files(t, dir); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("the folder was changed: %d files, then %d", len(before), len(after))
		}
	}
	after := open(t, killed)
	if got := recordsOf(t, after); got["m"].State != queue.Queued {
		t.Errorf("%+v", got)
	}
	after.Close()
}

// TestDamagedDatabase: SQLite's own damage is named, whether it is found at the start or later.
func TestDamagedDatabase(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 50 {
		if err := put(t, s, queue.ID(fmt.Sprintf("m%d", i)), 3000); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for page := int64(0); page < info.Size()/8192; page++ {
		hurt := copyOf(t, dir)
		f, err := os.OpenFile(filepath.Join(hurt, "queue.db"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(strings.Repeat("damaged!", 1024)), page*8192); err != nil {
			t.Fatal(err)
		}
		f.Close()
		s, err := Open(t.Context(), Config{Dir: hurt})
		if err == nil {
			s.Close() // a page of a body, or one that is free
			continue
		}
		if named++; !errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), "queue.db") {
			t.Errorf("page %d: %v, want ErrDamaged", page, err)
		}
	}
	if named < 5 {
		t.Errorf("damage of %d pages was named", named)
	}
}
