package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"postern/internal/queue"
	store "postern/internal/queue/pgstore"
	"postern/internal/queue/postgres"
)

// person is somebody with a client of SQL.
type person struct {
	t testing.TB
	c *postgres.Conn
}

func connect(t testing.TB, cfg store.Config) person {
	t.Helper()
	parsed, err := postgres.Parse(cfg.URL, cfg.Schema, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := postgres.Dial(context.Background(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return person{t, c}
}

func (p person) do(text string) {
	p.t.Helper()
	if err := p.c.Script(context.Background(), text); err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
}

func (p person) number(text string) int64 {
	p.t.Helper()
	n, err := p.c.Number(context.Background(), text)
	if err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	return n
}

// TestChunksThatNobodyNeeds: those of drafts that became no message and of messages that ended are swept away when
// their time is over, and no others.
func TestChunksThatNobodyNeeds(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	a, b := open(t, cfg), open(t, cfg)
	defer b.Close()
	p, large := connect(t, cfg), bytes.Repeat([]byte("0123456789"), 30_000)
	accept := func(n int) queue.ID {
		t.Helper()
		sub := submission(t, b, n, large)
		if err := b.Accept(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		return sub.Message.ID
	}
	accept(1)
	ended, err := b.Open(t.Context(), accept(2))
	if err != nil {
		t.Fatal(err)
	}
	work := claim(t, b, 2)
	if err := settle(b, queue.Delivered, work[1]); err != nil {
		t.Fatal(err)
	}
	submission(t, a, 3, large)         // its process ends
	late := submission(t, b, 4, large) // written for too long
	discarded := submission(t, b, 5, large)
	if err := discarded.Body.Discard(); err != nil {
		t.Fatal(err)
	}
	if n := p.number("SELECT count(*) FROM chunk"); n != 3+3+2+2 {
		t.Fatalf("%d chunks", n)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	purge := func(want int64) {
		t.Helper()
		if _, err := b.Purge(t.Context(), begin, 1); err != nil {
			t.Fatal(err)
		}
		if n := p.number("SELECT count(*) FROM chunk"); n != want {
			t.Errorf("%d chunks are left, want %d", n, want)
		}
	}
	purge(3 + 3 + 2) // all but the process's that closed its store
	if got, err := io.ReadAll(ended); err != nil || !bytes.Equal(got, large) {
		t.Errorf("the body of the message that ended: %d bytes, %v", len(got), err)
	}
	p.do("UPDATE draft SET until = now() - interval '1 second'")
	purge(3)
	if err := b.Accept(t.Context(), late); err == nil {
		t.Error("a message was accepted whose body was swept away")
	}
	if _, err := late.Body.Write(large); err == nil {
		t.Error("a draft that was swept away took more")
	}
	wantStates(t, b, map[queue.State]int64{queue.Sending: 1, queue.Delivered: 1})
}

// TestBodyThatIsNotWhatWasStored is never given out.
func TestBodyThatIsNotWhatWasStored(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	s := open(t, cfg)
	defer s.Close()
	p, n := connect(t, cfg), 0
	for name, tt := range map[string]struct {
		size   int
		damage string
	}{
		"a bit of a small one":      {1000, "UPDATE body SET data = set_byte(data, 17, get_byte(data, 17) # 1)"},
		"a small one cut":           {1000, "UPDATE body SET data = substr(data, 1, 999)"},
		"a small one gone":          {1000, "DELETE FROM body"},
		"a bit of a large one":      {300_000, "UPDATE chunk SET data = set_byte(data, 17, get_byte(data, 17) # 1) WHERE n = 1"},
		"the end of a large one":    {300_000, "DELETE FROM chunk WHERE n = 2"},
		"the middle of a large one": {300_000, "DELETE FROM chunk WHERE n = 1"},
		"a large one's number":      {300_000, "UPDATE message SET file = '999999' WHERE file IS NOT NULL"},
	} {
		n++
		sub := submission(t, s, n, bytes.Repeat([]byte{7}, tt.size))
		if err := s.Accept(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		p.do(tt.damage)
		if r, err := s.Open(t.Context(), sub.Message.ID); !errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), string(sub.Message.ID)) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
		p.do("DELETE FROM body; DELETE FROM chunk")
	}
}

// TestOpening: what is not ours, what is newer and what would lose mail is refused with words that help.
func TestOpening(t *testing.T) {
	t.Parallel()
	refused := func(cfg store.Config, want error, words string) {
		t.Helper()
		s, err := store.Open(t.Context(), cfg)
		if err == nil {
			s.Close()
			t.Fatalf("%q: opened", words)
		}
		if want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", words, err)
		}
	}
	cfg := fresh(t)
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	p := connect(t, cfg)
	p.do("INSERT INTO form (form, needs) VALUES (7, 1)") // a newer release has been here, and this one may go on
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	p.do("INSERT INTO form (form, needs) VALUES (8, 8)")
	refused(cfg, queue.ErrNewerForm, "form 8")

	foreign := fresh(t)
	p.do(fmt.Sprintf("CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.invoice (id integer)", foreign.Schema))
	refused(foreign, postgres.ErrForeign, "give it one of its own")

	loose := fresh(t)
	loose.URL += "&synchronous_commit=off"
	refused(loose, nil, "synchronous_commit is off")
	refused(store.Config{URL: "postgres://u:secret@127.0.0.1:1/x?sslmode=disable"}, queue.ErrNoDatabase, "127.0.0.1:1")
}
