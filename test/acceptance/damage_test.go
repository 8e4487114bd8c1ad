package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// data is the data folder.
func (w *world) data() string { return filepath.Join(w.Dir, "data") }

// waiting sends so many messages to a server that takes none now, and returns what was answered 250.
func (w *world) waiting(from, n int) (texts []string) {
	w.T.Helper()
	for i := range n {
		text := fmt.Sprintf("waits-%04d.", from+i)
		w.Send("anna@home.test", text, fmt.Sprintf("to%d@later.test", from+i))
		texts = append(texts, text)
	}
	return texts
}

// later is the server of waiting: it hangs until it is repaired, so that what waits for it stays in the journal for a
// while.
func (w *world) later() *partner.Partner {
	w.Settings["delivery.attempt_timeout"] = `"60s"`
	hangs := w.Good("mx.later.test")
	hangs.Fault = partner.HangsTLS
	return w.Domain("later.test", hangs)
}

// arrive wants each text at a server, after everything that waits was tried again.
func (w *world) arrive(p *partner.Partner, texts []string) {
	w.T.Helper()
	missing := 0
	harness.Eventually(w.T, harness.Patience, "everything that was answered 250 arrives", func() bool {
		w.Run("", "queue", "retry")
		missing = 0
		for _, text := range texts {
			if len(harness.Bodies(p, text)) == 0 {
				missing++
			}
		}
		return missing == 0
	})
}

// TestASecondStartChangesNothing: another serve on the same data, by a path of its own and with the lock removed,
// refuses and leaves the living journal alone, which a kill then shows.
func TestASecondStartChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	later := w.later()
	w.Start("")
	texts := w.waiting(0, 20)
	first := w.Addr
	link := filepath.Join(w.Dir, "link")
	if err := os.Symlink(w.data(), link); err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(w.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	for i, remove := range []string{"", "lock", "postern.sock", "lock postern.sock"} {
		for _, name := range strings.Fields(remove) {
			if err := os.Remove(filepath.Join(w.data(), name)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		other := strings.ReplaceAll(string(own), w.data(), link)
		if i%2 == 0 { // this one could not listen anyway, which is found out late
			other = strings.ReplaceAll(other, first, harness.FreeAddress(t))
		}
		path := w.Write("other.toml", []byte(other))
		a := w.Run("", "serve", "--config", path)
		if a.Code != 3 || !strings.Contains(a.Stderr, "another gateway uses the data folder") {
			t.Errorf("with %q removed: exit code %d\n%s", remove, a.Code, a.Stderr)
		}
	}
	texts = append(texts, w.waiting(20, 20)...)
	w.Kill()
	later.Set(w.Good("mx.later.test"))
	w.Serve()
	w.arrive(later, texts)
}

// TestDamagedMailIsNamedAndSalvaged: a gateway whose journal was damaged after a kill does not start, says what it may
// have cost and what to do, changes nothing; `store salvage` goes on with what can be read and keeps the rest.
func TestDamagedMailIsNamedAndSalvaged(t *testing.T) {
	t.Parallel()
	segment := func(w *world) string {
		found, err := filepath.Glob(filepath.Join(w.data(), "journal", "*.seg"))
		if err != nil || len(found) != 1 {
			w.T.Fatal(found, err)
		}
		return found[0]
	}
	for name, c := range map[string]struct {
		harm func(w *world) error
		lost int // messages that may be lost
	}{
		"a bit changed": {func(w *world) error {
			b, err := os.ReadFile(segment(w))
			if err != nil {
				return err
			}
			at := strings.Index(string(b), "waits-0005.")
			b[at] ^= 4
			return os.WriteFile(segment(w), b, 0o600)
		}, 1},
		"a segment gone":  {func(w *world) error { return os.Remove(segment(w)) }, 20},
		"the folder gone": {func(w *world) error { return os.RemoveAll(filepath.Join(w.data(), "journal")) }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			later := w.later()
			w.Start("")
			texts := w.waiting(0, 20)
			w.Kill()
			later.Set(w.Good("mx.later.test"))
			if err := c.harm(w); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if w.Serves() {
					t.Fatal("the gateway starts with a damaged journal")
				}
			}
			for _, words := range []string{"damaged", "lost", "postern store salvage"} {
				if !strings.Contains(w.Log(), words) {
					t.Errorf("nothing is said of %q:\n%s", words, w.Log())
				}
			}
			said := w.Postern("store", "salvage")
			w.Serve()
			if c.lost == 1 {
				if !strings.Contains(said, "up to 1 messages") || !strings.Contains(said, ".seg.damaged") {
					t.Errorf("the salvage says:\n%s", said)
				}
				w.arrive(later, append(texts[:5:5], texts[6:]...))
			}
			w.Send("anna@home.test", "life goes on", "new@later.test")
			harness.Eventually(t, harness.Patience, "new mail arrives", func() bool { return len(harness.Bodies(later, "life goes on")) == 1 })
			if again := w.Run("", "store", "salvage"); again.Code != 3 || !strings.Contains(again.Stderr, "another gateway uses") {
				t.Errorf("a salvage beside the gateway: %+v", again)
			}
		})
	}
}

// TestDamagedContentIsNeverSent: a large body that was changed, or that is gone, is not sent and not bounced; it is
// held with the reason, the administrator is warned, and it goes when a good copy is in place.
func TestDamagedContentIsNeverSent(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(path string, good []byte) error{
		"a bit changed": func(path string, good []byte) error {
			bad := append([]byte(nil), good...)
			bad[150_000] ^= 1
			return os.WriteFile(path, bad, 0o600)
		},
		"gone": func(path string, _ []byte) error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			refuses := w.Domain("large.test", w.Answers("mx.large.test", "MAIL", "451 4.3.2 later"))
			w.Start("")
			id := w.Send("anna@home.test", "a large one "+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 3000), "dr@large.test")
			w.Await("dr@large.test", harness.Waits("remote-4xx"))
			found, err := filepath.Glob(filepath.Join(w.data(), "spool", "*.body"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			good, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := harm(found[0], good); err != nil {
				t.Fatal(err)
			}
			refuses.Set(w.Good("mx.large.test"))
			w.Postern("queue", "retry")
			w.Await("dr@large.test", harness.In("held"))
			if n := len(harness.Bodies(refuses, "a large one")); n != 0 {
				t.Errorf("%d messages came", n)
			}
			if shown := w.Postern("queue", "show", id); !strings.Contains(shown, "damaged") {
				t.Errorf("nothing is said of the damage:\n%s", shown)
			}
			if !strings.Contains(w.Log(), "stored data is damaged") || !strings.Contains(w.Log(), "postern queue release "+id) {
				t.Errorf("nobody is warned:\n%s", w.Log())
			}
			if err := os.WriteFile(found[0], good, 0o600); err != nil {
				t.Fatal(err)
			}
			w.Postern("queue", "release", id)
			w.Await("dr@large.test", harness.In("delivered"))
			if n := len(harness.Bodies(refuses, "a large one")); n != 1 {
				t.Errorf("%d messages came, want 1", n)
			}
		})
	}
}
