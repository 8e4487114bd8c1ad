// Package storecopy moves the store of the real binary into a database and back, on a PostgreSQL server that the tests
// start, and kills it in the middle.
package storecopy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/pgstore"
	"postern/internal/queue/sqlstore"
	"postern/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// data is the data folder of a world.
func data(w *harness.World) string { return filepath.Join(w.Dir, "data") }

// filled stores so many messages that wait, some of them with a body in a file, and returns their IDs.
func filled(t *testing.T, s queue.Store, n int) map[queue.ID]bool {
	t.Helper()
	out, now := map[queue.ID]bool{}, queue.Kept(time.Now())
	var wait sync.WaitGroup
	for i := range n {
		id := queue.NewID(now, uint32(i))
		out[id] = true
		wait.Go(func() {
			draft, err := s.NewDraft(t.Context())
			if err == nil {
				_, err = draft.Write(bytes.Repeat([]byte{byte(i)}, map[bool]int{false: i % 3000, true: 300_000}[i%50 == 0]))
			}
			if err != nil {
				t.Error(err)
				return
			}
			sub := &queue.Submission{Message: queue.Message{ID: id, AcceptedAt: now}, Body: draft, Deliveries: []queue.NewDelivery{{NextHop: "mx:later.test"}}}
			d := &sub.Deliveries[0]
			d.Recipient.Address, d.Due, d.ExpiresAt = mail.MustAddress("a@later.test"), now.Add(time.Hour), now.Add(48*time.Hour)
			if err := s.Accept(t.Context(), sub); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	return out
}

// opens reports whether a gateway could open each of the stores, and how many messages it would find.
func opens(t *testing.T, folder, url string) (embedded, shared int) {
	t.Helper()
	embedded, shared = -1, -1
	count := func(s queue.Store) (n int) {
		for _, err := range s.List(t.Context(), queue.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	closed := func(err error) {
		if !errors.Is(err, queue.ErrMoved) && !errors.Is(err, queue.ErrUnfinished) {
			t.Fatal(err)
		}
	}
	if s, err := sqlstore.Open(t.Context(), sqlstore.Config{Dir: folder}); err == nil {
		embedded = count(s)
	} else {
		closed(err)
	}
	if s, err := pgstore.Open(t.Context(), pgstore.Config{URL: url}); err == nil {
		shared = count(s)
	} else {
		closed(err)
	}
	return embedded, shared
}

// TestKilledCopies kills `postern store copy` again and again at random moments, there and back: mail is never in two
// stores that open, it is always in one that opens or can be gone on with, and in the end it is all there.
func TestKilledCopies(t *testing.T) {
	const messages = 600
	w, url := harness.NewWorld(t), harness.Database(t).URL()
	w.Configure()
	// Made by the user that the tests are, who may be root: the verbs leave that to whom the folder belongs.
	s, err := sqlstore.Open(t.Context(), sqlstore.Config{Dir: data(w)})
	if err != nil {
		t.Fatal(err)
	}
	ids := filled(t, s, messages)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"--to", "--from"} {
		if way == "--from" {
			if err := os.Rename(data(w), data(w)+".moved"); err != nil {
				t.Fatal(err)
			}
		}
		kills, opened := 0, true // the source, before
		for bound := 20 * time.Millisecond; ; bound += bound / 4 {
			cmd := exec.Command(harness.Binary(), "store", "copy", way, url, "--json")
			cmd.Env = append(os.Environ(), "POSTERN_CONFIG="+w.ConfigFile())
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			how := syscall.SIGKILL
			if kills%3 == 2 { // somebody who presses ^C has both stores as they were before
				how = syscall.SIGINT
			}
			timer := time.AfterFunc(bound+time.Duration(rand.Int64N(int64(bound))), func() { _ = cmd.Process.Signal(how) })
			err := cmd.Wait()
			timer.Stop()
			embedded, shared := opens(t, data(w), url)
			if embedded > 0 && shared > 0 {
				t.Fatalf("after %d kills a gateway finds %d messages in the folder and %d in the database", kills, embedded, shared)
			}
			if err == nil {
				var out struct {
					Tables []struct {
						Table string
						Rows  int
					}
					Bodies struct{ Number, Damaged int }
				}
				if err := json.Unmarshal(stdout.Bytes(), &out); err != nil || out.Bodies.Number != messages || out.Bodies.Damaged != 0 || len(out.Tables) != 11 {
					t.Fatalf("%v: %s", err, stdout.String())
				}
				break
			}
			if how == syscall.SIGINT && opened && embedded != messages && shared != messages {
				t.Errorf("after ^C neither the folder nor the database opens:\n%s", stderr.String())
			}
			if code := cmd.ProcessState.ExitCode(); code >= 0 && (how != syscall.SIGINT || code != 3) {
				t.Fatalf("after %d kills: exit code %d: %s", kills, code, stderr.String())
			}
			kills, opened = kills+1, embedded == messages || shared == messages
			if target := map[string]int{"--to": shared, "--from": embedded}[way]; target == messages {
				break // it had come to its end, and could not say so any more
			}
		}
		t.Logf("%s: %d kills", way, kills)
	}
	s, err = sqlstore.Open(t.Context(), sqlstore.Config{Dir: data(w)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for id := range ids {
		body, err := s.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheVerbs: what the verbs say, that a gateway that runs is left alone, and that none starts on what was moved until
// somebody wants it.
func TestTheVerbs(t *testing.T) {
	w, url := harness.NewWorld(t), harness.Database(t).URL()
	w.Start("")
	wants := func(code int, texts string, args ...string) {
		t.Helper()
		a := w.Run("", args...)
		if a.Code != code {
			t.Errorf("postern %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), a.Code, code, a.Stdout, a.Stderr)
		}
		for text := range strings.SplitSeq(texts, "|") {
			if !strings.Contains(a.Stdout+a.Stderr, text) {
				t.Errorf("postern %s: no %q in\n%s%s", strings.Join(args, " "), text, a.Stdout, a.Stderr)
			}
		}
	}
	wants(2, "--to postgres://", "store", "copy")
	wants(3, "stop it first", "store", "copy", "--to", url)
	w.Stop()
	wants(3, "", "store", "copy", "--to", "postgres://postern@127.0.0.1:1/x")
	wants(0, "never moved", "store", "reopen")
	wants(0, "read again on both sides|revision|entry|No gateway starts on", "store", "copy", "--to", url)
	wants(0, "everything was moved", "store", "waiting")
	wants(3, "postern store reopen", "store", "salvage")
	wants(3, "was moved to|`postern store reopen`", "store", "copy", "--to", url)
	if w.Serves() {
		t.Error("a gateway starts on a folder that was moved")
	}
	if log := w.Log(); !strings.Contains(log, "was moved to") || !strings.Contains(log, "postern store reopen") {
		t.Errorf("the gateway says:\n%s", log)
	}
	wants(3, "was moved to|`postern store reopen`", "store", "copy", "--from", url)
	wants(0, "Gateways start on", "store", "reopen")
	wants(3, "not empty", "store", "copy", "--to", url)
	w.Serve()
	w.Stop()
	other := filepath.Join(w.Dir, "other")
	wants(0, "Take store out", "store", "copy", "--from", url, "--config", configWith(w, other))
	wants(0, "Gateways start on", "store", "reopen", "--of", url)
}

// configWith is a configuration with another data folder.
func configWith(w *harness.World, folder string) string {
	was := w.Settings["data"]
	defer func() { w.Settings["data"] = was }()
	w.Settings["data"] = fmt.Sprintf("%q", folder)
	return w.Write("other.toml", []byte(w.Config()))
}
