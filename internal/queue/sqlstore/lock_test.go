package sqlstore

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"postern/internal/queue"
)

// tree is everything in a folder: names, modes, inodes, times and content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		content := ""
		if e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(b)
		}
		inode := info.Sys().(*syscall.Stat_t).Ino
		out[path] = fmt.Sprint(info.Mode(), inode, info.ModTime().UnixNano(), " ", content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNothingBeforeTheLock: while somebody has the folder, an Open changes nothing in it, whatever file was removed or
// made there, and by whatever path it comes.
func TestNothingBeforeTheLock(t *testing.T) {
	for name, prepare := range map[string]func(dir string) error{
		"as it is":          func(string) error { return nil },
		"lock removed":      func(dir string) error { return os.Remove(filepath.Join(dir, "lock")) },
		"another lock":      func(dir string) error { return replace(filepath.Join(dir, "lock"), "other") },
		"spool removed":     func(dir string) error { return os.RemoveAll(filepath.Join(dir, "spool")) },
		"journal removed":   func(dir string) error { return os.RemoveAll(filepath.Join(dir, "journal")) },
		"database removed":  func(dir string) error { return os.Remove(filepath.Join(dir, "queue.db")) },
		"readable for all":  func(dir string) error { return os.Chmod(dir, 0o755) },
		"lock is elsewhere": func(dir string) error { return replaceByLink(filepath.Join(dir, "lock")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := opened(t, Config{Dir: dir, still: true})
			defer s.Close() // whatever it finds of its folder
			if err := errors.Join(put(t, s, "m", 100), prepare(dir)); err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{dir, link, dir + "/../" + filepath.Base(dir)} {
				if _, err := Open(t.Context(), Config{Dir: path}); !errors.Is(err, queue.ErrInUse) {
					t.Errorf("Open of %s: %v, want ErrInUse", path, err)
				}
			}
			if after := tree(t, dir); !maps.Equal(before, after) {
				t.Errorf("a second Open changed the folder:\n%v\n%v", before, after)
			}
		})
	}
}

func replace(path, text string) error {
	return errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path))
}

func replaceByLink(path string) error {
	return errors.Join(os.Rename(path, path+".moved"), os.Symlink(path+".moved", path))
}

// TestOlderRelease: a release that locks the file only keeps us out too.
func TestOlderRelease(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("beside an older release: %v, want ErrInUse", err)
	}
}

// TestManyAtOnce: of many that open a folder at once, one has it.
func TestManyAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var got atomic.Int32
	var wg sync.WaitGroup
	var stores [8]*Store
	for i := range stores {
		wg.Go(func() {
			s, err := Open(t.Context(), Config{Dir: dir})
			switch {
			case err == nil:
				got.Add(1)
				stores[i] = s
			case !errors.Is(err, queue.ErrInUse):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d have the folder", got.Load())
	}
	for _, s := range stores {
		if s != nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
