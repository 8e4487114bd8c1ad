package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/stored"
)

// many fills a store with finished messages, a thousand between two of rare.test, and some that failed or wait.
func many(t *testing.T, s *Store, n int64) {
	t.Helper()
	for first := int64(1); first <= n; first += 500 {
		err := s.do(t.Context(), 0, func(txn *txn) error {
			for i := first; i < min(first+500, n+1); i++ {
				if err := txn.one(t, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// one stores message number i as it stands after its life.
func (t *txn) one(tb testing.TB, i int64) error {
	from, to, state := fmt.Sprintf("a@s%d.test", i%97), fmt.Sprintf("b@r%d.test", i%89), queue.Delivered
	switch i % 1000 {
	case 1:
		from = "boss@rare.test"
	case 2:
		to = `"odd@local"@rare.test`
	case 3:
		state = queue.Failed
	case 4:
		state = queue.Cancelled
	case 5:
		state = queue.Held
	case 6:
		from, state = "boss@rare.test", queue.Failed
	case 7:
		to, from = "x@rare.test", ""
	}
	sub, err := benchMessage(tb.Context(), t.s, i, testTime.Add(time.Duration(i)*time.Millisecond))
	if err != nil {
		return err
	}
	sub.Message.ID = queue.ID(fmt.Sprintf("m%d", i))
	sub.Message.Envelope.From = mail.Address{}
	if from != "" {
		sub.Message.Envelope.From = mail.MustAddress(from)
	}
	sub.Deliveries[0].Recipient.Address = mail.MustAddress(to)
	n, _, err := t.s.ready(sub)
	if err == nil {
		err = t.insert(n)
	}
	if err != nil || state == queue.Queued {
		return err
	}
	d := n.Deliveries[0]
	t.Totals.States.Move(queue.Queued, state)
	return t.Exec("UPDATE delivery SET state = ?, finished = ? WHERE id = ?", stored.State(state), testTime.UnixMicro(), int64(d.ID))
}

// found lists what a filter finds; whole is false where the search ended before its end.
func found(t *testing.T, s *Store, f queue.Filter) (ids []queue.ID, whole bool) {
	t.Helper()
	for r, err := range s.List(t.Context(), f) {
		if _, unfinished := err.(*queue.Unfinished); unfinished {
			return ids, false
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.Message.ID)
	}
	return ids, true
}

func rare(n int64, rest ...int64) (out []queue.ID) {
	for i := n; i > 0; i-- {
		if slices.Contains(rest, i%1000) {
			out = append(out, queue.ID(fmt.Sprintf("m%d", i)))
		}
	}
	return out
}

func scopeOf(names ...string) []mail.Domain {
	out := []mail.Domain{}
	for _, n := range names {
		out = append(out, mail.MustDomain(n))
	}
	return out
}

// A search of a scope, or of what was not delivered, looks at what it finds and at little else, however much mail of
// others there is, and finds all of it.
func TestAScopeIsSearchedByItsIndex(t *testing.T) {
	const n = 9500 // more than two blocks
	s := still(t, t.TempDir())
	defer s.Close()
	many(t, s, n)
	few := queue.Filter{Look: 100} // a walk looks at as many and finds nearly nothing
	for name, c := range map[string]struct {
		f    func(f *queue.Filter)
		want []queue.ID
	}{
		"scope":               {func(f *queue.Filter) { f.Scope = scopeOf("rare.test") }, rare(n, 1, 2, 6, 7)},
		"two domains":         {func(f *queue.Filter) { f.Scope = scopeOf("none.test", "rare.test") }, rare(n, 1, 2, 6, 7)},
		"scope, failed":       {func(f *queue.Filter) { f.Scope, f.States = scopeOf("rare.test"), []queue.State{queue.Failed} }, rare(n, 6)},
		"no mail":             {func(f *queue.Filter) { f.Scope = scopeOf("none.test") }, nil},
		"no domains":          {func(f *queue.Filter) { f.Scope = scopeOf() }, nil},
		"failed":              {func(f *queue.Filter) { f.States = []queue.State{queue.Failed} }, rare(n, 3, 6)},
		"cancelled and held":  {func(f *queue.Filter) { f.States = []queue.State{queue.Cancelled, queue.Held} }, rare(n, 4, 5)},
		"waiting":             {func(f *queue.Filter) { f.States = []queue.State{queue.Queued, queue.Sending, queue.Held} }, rare(n, 5)},
		"scope, since":        {func(f *queue.Filter) { f.Scope, f.Since = scopeOf("rare.test"), testTime.Add(9*time.Second) }, rare(n, 1, 2, 6, 7)[:4]},
		"scope and recipient": {func(f *queue.Filter) { f.Scope, f.Recipient = scopeOf("rare.test"), "x@rare.test" }, rare(n, 7)},
	} {
		f := few
		c.f(&f)
		got, whole := found(t, s, f)
		if !whole || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d deliveries, whole %v, want %d\n%v", name, len(got), whole, len(c.want), got)
		}
		// In parts it is the same.
		var parts []queue.ID
		for f.Limit, f.Look = 3, 7; ; {
			last := queue.DeliveryID(0)
			for r, err := range s.List(t.Context(), f) {
				if u, ok := err.(*queue.Unfinished); ok {
					last = u.After
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				parts, last = append(parts, r.Message.ID), r.ID
			}
			if last == 0 {
				break
			}
			f.After = last
		}
		if !slices.Equal(parts, c.want) {
			t.Errorf("%s in parts: %v", name, parts)
		}
	}
	if _, whole := found(t, s, queue.Filter{Look: 100, Sender: "*rare*"}); whole {
		t.Error("a walk over everything was whole: this test shows nothing")
	}
}

// The queries of the streams, and the one for the oldest that waits, read keys of their tables and scan nothing.
func TestStreamsReadKeys(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	many(t, s, 100)
	seen := heard{searched{s}, map[string][]any{oldestQuery: nil}}
	for _, f := range []queue.Filter{{Scope: []mail.Domain{mail.MustDomain("rare.test")}}, {States: []queue.State{queue.Held, queue.Failed}}} {
		s.search.List(t.Context(), seen, &f, func(queue.Record, error) bool { return true })
	}
	for _, table := range []string{"party", "undelivered", "m.seq = s.value"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen.texts)), func(text string) bool { return strings.Contains(text, table) }) {
			t.Errorf("%s was not asked: this test shows nothing", table)
		}
	}
	for text, args := range seen.texts {
		var plan []string
		err := s.read(t.Context(), func(c *sqlite.Conn) error {
			return c.Query(t.Context(), "EXPLAIN QUERY PLAN "+text, func(r database.Row) error {
				plan = append(plan, r.Text(3))
				return nil
			}, args...)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range plan {
			for _, table := range []string{"p", "undelivered", "m", "d", "message", "delivery"} {
				if strings.HasPrefix(step, "SCAN "+table+" ") && !strings.Contains(step, "VIRTUAL TABLE") || step == "SCAN "+table {
					t.Errorf("%s\nscans: %q", text, plan)
				}
			}
		}
	}
}

// heard are tables that remember what they were asked.
type heard struct {
	searched
	texts map[string][]any
}

func (h heard) Read(ctx context.Context, do func(db database.Reader) error) error {
	return h.searched.Read(ctx, func(db database.Reader) error { return do(listening{db, h.texts}) })
}

type listening struct {
	database.Reader
	texts map[string][]any
}

func (l listening) Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) error {
	l.texts[text] = args
	return l.Reader.Query(ctx, text, each, args...)
}

// form is what makes a form.
func form(t *testing.T, n int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("../sqltables/schema%d.sql", n))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What an older form wrote is found at once, by walking, and by the index when it was brought in, which happens in
// portions and goes on after a restart.
func TestOldRecordsComeIntoTheTablesOfScopes(t *testing.T) {
	const n = 2500
	dir := t.TempDir()
	s := still(t, dir)
	many(t, s, n)
	older := `DROP TABLE party; DROP TABLE undelivered; DROP TRIGGER message_in; DROP TRIGGER message_out; DROP TRIGGER delivery_in;
		DROP TRIGGER delivery_moved; DROP TRIGGER delivery_out; ALTER TABLE totals DROP COLUMN indexed; DROP TABLE record; DROP TABLE counter;` +
		form(t, 2) + form(t, 5) + `PRAGMA user_version=8;`
	if err := s.writer.c.Script(older); err != nil { // as a release of form 8 left it
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = still(t, dir)
	scope := queue.Filter{Scope: scopeOf("rare.test"), Look: 100}
	check := func(when string, whole bool) {
		t.Helper()
		all := scope
		all.Look = 0
		if got, _ := found(t, s, all); !slices.Equal(got, rare(n, 1, 2, 6, 7)) {
			t.Errorf("%s: %v", when, got)
		}
		if _, is := found(t, s, scope); is != whole {
			t.Errorf("%s: a short search is whole: %v", when, is)
		}
		if got, _ := found(t, s, queue.Filter{States: []queue.State{queue.Failed}}); !slices.Equal(got, rare(n, 3, 6)) {
			t.Errorf("%s: failed %v", when, got)
		}
		if st, err := s.Stats(t.Context()); err != nil || !st.Oldest.Equal(testTime.Add(5*time.Millisecond)) {
			t.Errorf("%s: the oldest that waits is of %v, %v", when, st.Oldest, err)
		}
	}
	check("before", false)
	if whole, err := s.fill(t.Context()); whole || err != nil {
		t.Fatalf("the first portion: %v, %v", whole, err)
	}
	check("after a portion", false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = still(t, dir)
	defer s.Close()
	portions := 0
	for whole, err := s.fill(t.Context()); !whole; whole, err = s.fill(t.Context()) {
		if portions++; err != nil || portions > n/sqltables.Portion+1 {
			t.Fatalf("portion %d: %v", portions, err)
		}
	}
	check("afterwards", true)
}

// The tables hold what they should, whatever happens to mail: ends, moves, purges.
func TestTablesOfScopesFollowTheRecords(t *testing.T) {
	s := still(t, t.TempDir())
	defer s.Close()
	many(t, s, 1200)
	same := func(when string) {
		t.Helper()
		for what, text := range map[string]string{
			"party":       "SELECT count(*) FROM (SELECT * FROM party EXCEPT SELECT * FROM (SELECT seq >> 12, " + sqlite.DomainIn("sender") + ", seq FROM message WHERE sender <> '' UNION SELECT id >> 32, " + sqlite.DomainIn("address") + ", id >> 20 FROM delivery))",
			"no party":    "SELECT count(*) FROM (SELECT seq >> 12, " + sqlite.DomainIn("sender") + ", seq FROM message WHERE sender <> '' UNION SELECT id >> 32, " + sqlite.DomainIn("address") + ", id >> 20 FROM delivery EXCEPT SELECT * FROM party)",
			"undelivered": "SELECT count(*) FROM (SELECT * FROM undelivered EXCEPT SELECT state, id FROM delivery WHERE state <> 3)",
			"delivered":   "SELECT count(*) FROM (SELECT state, id FROM delivery WHERE state <> 3 EXCEPT SELECT * FROM undelivered)",
		} {
			err := s.read(t.Context(), func(c *sqlite.Conn) error {
				n, err := c.Number(t.Context(), text)
				if n != 0 {
					t.Errorf("%s: %d rows of %s", when, n, what)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	same("filled")
	for _, kind := range []queue.ActionKind{queue.Release, queue.Hold, queue.Cancel} {
		if _, err := s.Act(t.Context(), queue.Action{Kind: kind, Now: testTime, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		same(string(kind))
	}
	if err := s.do(t.Context(), 0, func(txn *txn) error { return txn.Exec("UPDATE message SET open = 0") }); err != nil {
		t.Fatal(err)
	}
	if purged, err := s.Purge(t.Context(), testTime.Add(time.Hour), 700); err != nil || purged != 700 {
		t.Fatalf("purged %d, %v", purged, err)
	}
	same("purged")
}
