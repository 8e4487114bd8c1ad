package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/attempt"
	"postern/internal/gateway/nodes"
	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/queue"
	qdb "postern/internal/queue/database"
	store "postern/internal/queue/pgstore"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqlstore"
	"postern/internal/queue/storecopy"
	"postern/internal/queue/storetest"
)

// keeper is what a gateway keeps everything in.
type keeper interface {
	queue.Store
	audit.Ledger
	records.Store
}

// content is all of a store that can be asked for.
type content struct {
	Records   []queue.Record
	Bodies    map[queue.ID]string
	Sites     []queue.Site
	Stats     queue.Stats
	Revisions []audit.Revision
	Judgement audit.Judgement
	Entries   []audit.Entry
	Kept      []records.Record
	Counters  []records.Counter
}

func contentOf(t *testing.T, s keeper) (c content) {
	t.Helper()
	ctx, no := t.Context(), func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Bodies = map[queue.ID]string{}
	for r, err := range s.List(ctx, queue.Filter{}) {
		no(err)
		c.Records = append(c.Records, r)
		body, err := s.Open(ctx, r.Message.ID)
		switch {
		case errors.Is(err, queue.ErrNotFound):
			continue
		case errors.Is(err, queue.ErrDamaged):
			c.Bodies[r.Message.ID] = "damaged"
			continue
		}
		no(err)
		text, err := io.ReadAll(body)
		no(errors.Join(err, body.Close()))
		c.Bodies[r.Message.ID] = string(text)
	}
	var err error
	c.Sites, err = s.Sites(ctx)
	no(err)
	c.Stats, err = s.Stats(ctx)
	no(err)
	c.Revisions, err = s.Revisions(ctx, 0, 100)
	no(err)
	c.Judgement, err = s.Judgement(ctx)
	no(err)
	c.Entries, err = s.Entries(ctx, 0, 100000)
	no(err)
	no(s.ReadRecords(ctx, func(r records.Reader) error {
		for _, kind := range []string{"account", "certificate"} {
			kept, err := r.List(records.Query{Kind: kind})
			no(err)
			counted, err := r.Counters(records.Query{Kind: kind})
			no(err)
			c.Kept, c.Counters = append(c.Kept, kept...), append(c.Counters, counted...)
		}
		return nil
	}))
	return c
}

func wantSame(t *testing.T, what string, got, want content) {
	t.Helper()
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(mail.Domain{}, netip.Addr{})); diff != "" {
		t.Errorf("%s differs (-want +got):\n%.4000s", what, diff)
	}
}

// embedded opens a data folder.
func embedded(t *testing.T, dir string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), sqlstore.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// furnish adds what the random operations do not make, and leaves work under way.
func furnish(t *testing.T, s keeper) {
	t.Helper()
	ctx, now := t.Context(), queue.Kept(time.Now().Add(-24*time.Hour))
	no := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, size := range []int{0, 10, 128 << 10, 128<<10 + 1, 1 << 20} {
		draft, err := s.NewDraft(ctx)
		no(err)
		_, err = draft.Write(bytes.Repeat([]byte{byte(i), '\n', 0, 0xff}, size/4+1)[:size])
		no(err)
		sub := &queue.Submission{Body: draft}
		sub.Message = queue.Message{ID: queue.NewID(now, uint32(i)), AcceptedAt: now.Add(-time.Duration(i) * time.Hour), MessageID: "<m@x>"}
		sub.Message.Envelope.From = mail.MustAddress("s@sender.test")
		for n, hop := range []string{"mx:wished.test", "mx:failing.test", "mx:held.test"} {
			d := queue.NewDelivery{NextHop: hop}
			d.Recipient.Address = mail.MustAddress(fmt.Sprintf("r%d@%s", n, hop[3:]))
			d.Requirement, d.Due, d.ExpiresAt = policy.Requirement{Channel: policy.Authenticated}, now, now.Add(48*time.Hour)
			if n == 2 {
				d.State = queue.Held
			}
			sub.Deliveries = append(sub.Deliveries, d)
		}
		no(s.Accept(ctx, sub))
	}
	work, err := s.Claim(ctx, queue.Claim{Site: queue.NewSiteKey("mx:failing.test", policy.Requirement{Channel: policy.Authenticated}),
		Limit: 10, Now: now, Until: now.Add(time.Second), Worker: "w"})
	no(err)
	batch := queue.Batch{Now: now, Sites: map[queue.SiteKey]queue.SiteState{}}
	for i, w := range work {
		st := queue.Settlement{Lease: w.Lease, State: queue.Queued, Due: now.Add(time.Hour),
			Attempt: &attempt.Attempt{At: now, TookMS: 5, Reason: policy.CertExpired}}
		if i == 0 {
			st.State, st.Reason = queue.Failed, policy.Remote5xx
		}
		batch.Settlements = append(batch.Settlements, st)
		batch.Sites[w.Site] = queue.SiteState{Failures: 3, Since: now, RetryAt: now.Add(time.Hour), Last: st.Attempt}
	}
	no(s.Settle(ctx, batch))
	for n := range 20 {
		_, err := s.AppendRules(ctx, fmt.Sprintf("# rules %d\n", n), audit.Entry{At: now, By: "Anna", Action: "rules apply", Count: n})
		no(err)
	}
	_, err = s.Judge(ctx, audit.Judgement{Tables: "t", Files: "f"}, true)
	no(err)
	no(s.ChangeRecords(ctx, func(tx records.Tx) error {
		for n := range 200 {
			r := records.Record{Kind: "certificate", Key: fmt.Sprintf("%04d é\t\"%%_", n), Value: bytes.Repeat([]byte{0, byte(n)}, n)}
			if n%2 == 0 {
				r.Index, r.At = "i", now.Add(time.Duration(n)*time.Second)
			}
			no(tx.Put(r))
			no(tx.Add(records.Counter{Kind: "account", Key: r.Key, Index: r.Index, N: int64(n)}))
		}
		return tx.Put(records.Record{Kind: "account", Key: "a1", Index: "anna", Value: []byte("{}")})
	}))
	wished, err := s.Claim(ctx, queue.Claim{Site: queue.NewSiteKey("mx:wished.test", policy.Requirement{Channel: policy.Authenticated}),
		Limit: 2, Now: now, Until: now.Add(time.Second), Worker: "w"})
	no(err)
	_, err = s.Act(ctx, queue.Action{Kind: queue.Cancel, Messages: []queue.ID{wished[0].Message.ID}, By: "Ben", Now: now})
	no(err)
}

// sides opens both sides of a copy; the caller closes them.
func sides(t *testing.T, dir string, cfg store.Config) (storecopy.Side, storecopy.Side) {
	t.Helper()
	a, err := sqlstore.OpenSide(sqlstore.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b, err := pgtables.OpenSide(t.Context(), cfg.URL, cfg.Schema, "the database")
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func copyAll(t *testing.T, from, to storecopy.Side) *storecopy.Report {
	t.Helper()
	r, err := storecopy.Copy(t.Context(), from, to, nil)
	if err = errors.Join(err, from.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCopyThereAndBack: a store of random operations, with large bodies and mail in every state, is the same in a
// database, and the same in a folder again.
func TestCopyThereAndBack(t *testing.T) {
	for _, seed := range []uint64{1, 2, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			cfg, dir, back := fresh(t), t.TempDir(), t.TempDir()
			storetest.ModelSeed(t, embedded(t, dir), seed, 300)
			s := embedded(t, dir)
			furnish(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = embedded(t, dir) // leases end with the process
			want := contentOf(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			from, to := sides(t, dir, cfg)
			there := copyAll(t, from, to)
			if there.Resumed || there.Bodies.Number == 0 || there.Bodies.Damaged != 0 || there.Written == 0 {
				t.Errorf("%+v", there)
			}
			if _, err := sqlstore.Open(t.Context(), sqlstore.Config{Dir: dir}); !errors.Is(err, queue.ErrMoved) {
				t.Errorf("the source: %v", err)
			}
			p := open(t, cfg)
			wantSame(t, "the database", contentOf(t, p), want)
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			from, to = sides(t, back, cfg)
			again := copyAll(t, to, from)
			wantSameTables(t, again, there)
			if _, err := store.Open(t.Context(), cfg); !errors.Is(err, queue.ErrMoved) {
				t.Errorf("the database afterwards: %v", err)
			}
			s = embedded(t, back)
			defer s.Close()
			wantSame(t, "the folder", contentOf(t, s), want)
			goesOn(t, s)
		})
	}
}

func wantSameTables(t *testing.T, got, want *storecopy.Report) {
	t.Helper()
	if diff := gocmp.Diff(want.Tables, got.Tables); diff != "" {
		t.Errorf("the digests differ (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(want.Bodies, got.Bodies); diff != "" {
		t.Errorf("the bodies differ (-want +got):\n%s", diff)
	}
}

// goesOn shows that a copy is a store like any: what waits can be claimed, wishes are carried out, and new mail,
// entries and sites get numbers behind what was copied.
func goesOn(t *testing.T, s keeper) {
	t.Helper()
	ctx, now := t.Context(), queue.Kept(time.Now().Add(24*time.Hour))
	before := contentOf(t, s)
	draft, err := s.NewDraft(ctx)
	if err == nil {
		_, err = draft.Write([]byte("new"))
	}
	if err != nil {
		t.Fatal(err)
	}
	sub := &queue.Submission{Message: queue.Message{ID: queue.NewID(now, 1), AcceptedAt: now}, Body: draft,
		Deliveries: []queue.NewDelivery{{NextHop: "mx:new.test"}}}
	sub.Deliveries[0].Recipient.Address, sub.Deliveries[0].Due = mail.MustAddress("a@new.test"), now
	if err := s.Accept(ctx, sub); err != nil {
		t.Fatal(err)
	}
	if newest := sub.Deliveries[0].ID; newest <= before.Records[0].ID {
		t.Errorf("new mail has the number %d, behind %d", newest, before.Records[0].ID)
	}
	if _, err := s.AppendRules(ctx, "# new", audit.Entry{At: now, By: "Anna", Action: "rules apply"}); err != nil {
		t.Error(err)
	}
	work, err := s.Claim(ctx, queue.Claim{Site: queue.NewSiteKey("mx:wished.test", policy.Requirement{Channel: policy.Authenticated}),
		Limit: 100, Now: now, Until: now.Add(time.Minute), Worker: "w"})
	if err != nil || len(work) != 4 {
		t.Errorf("%d of 5 deliveries were claimed where one is to be cancelled: %v", len(work), err)
	}
	if entries, err := s.Entries(ctx, 0, 10); err != nil || entries[0].ID <= before.Entries[0].ID {
		t.Errorf("%v, %v", entries[0], err)
	}
	if n, err := s.Purge(ctx, now.AddDate(1, 0, 0), 10000); err != nil || n == 0 {
		t.Errorf("%d purged: %v", n, err)
	}
}

// TestTheDatabaseGoesOn is what TestCopyThereAndBack asks of a folder, asked of a database.
func TestTheDatabaseGoesOn(t *testing.T) {
	cfg, dir := fresh(t), t.TempDir()
	s := embedded(t, dir)
	furnish(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copyAll2(t, dir, cfg)
	p := open(t, cfg)
	defer p.Close()
	goesOn(t, p)
}

func copyAll2(t *testing.T, dir string, cfg store.Config) *storecopy.Report {
	t.Helper()
	from, to := sides(t, dir, cfg)
	return copyAll(t, from, to)
}

// errCut is where a test ends a copy.
var errCut = errors.New("the test ends the copy")

// cut is a side that ends after so many calls that change something, as a process that is killed would: nothing more
// is done through it.
type cut struct {
	storecopy.Side
	left *int
}

func (c cut) end() error {
	if *c.left--; *c.left < 0 {
		return errCut
	}
	return nil
}

func (c cut) Stand(ctx context.Context, s storecopy.Standing) error {
	if err := c.end(); err != nil {
		return err
	}
	return c.Side.Stand(ctx, s)
}

func (c cut) Replace(ctx context.Context, t *storecopy.Table, in storecopy.Span, rows [][]any) error {
	if err := c.end(); err != nil {
		return err
	}
	return c.Side.Replace(ctx, t, in, rows)
}

func (c cut) PutBody(ctx context.Context, from io.Reader) (string, error) {
	if err := c.end(); err != nil {
		_, _ = io.CopyN(io.Discard, from, 1000)
		return "", err
	}
	return c.Side.PutBody(ctx, from)
}

func (c cut) Finish(ctx context.Context, n *storecopy.Counts) error {
	if err := c.end(); err != nil {
		return err
	}
	return c.Side.Finish(ctx, n)
}

// TestCopyIsGoneOnWith ends a copy at each step, in both directions: never can both stores be opened, the source can
// until it is moved (an embedded one), and the same copy gone on with comes to the same end.
func TestCopyIsGoneOnWith(t *testing.T) {
	dir := t.TempDir()
	s := embedded(t, dir)
	furnish(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = embedded(t, dir)
	want := contentOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg, other := fresh(t), t.TempDir()
	for _, back := range []bool{false, true} {
		ends, between := false, 0
		for step := 0; !ends; step++ {
			from, to := sides(t, map[bool]string{false: dir, true: other}[back], cfg)
			if back {
				from, to = to, from
			}
			left := step
			_, err := storecopy.Copy(t.Context(), cut{from, &left}, cut{to, &left}, nil)
			if err != nil && !errors.Is(err, errCut) {
				t.Fatalf("back %v, step %d: %v", back, step, err)
			}
			ends = err == nil
			if err := errors.Join(from.Close(), to.Close()); err != nil {
				t.Fatal(err)
			}
			at := map[bool]string{false: dir, true: other}[back]
			folder := opensFolder(t, at, want, back == ends)
			database := opensDatabase(t, cfg, want, back != ends)
			if folder && database || ends && folder != back || ends && database == back {
				t.Fatalf("back %v, step %d: folder opens %v, database %v", back, step, folder, database)
			}
			if !ends && !back && !folder {
				between++
			}
		}
		if !back && between != 1 {
			t.Errorf("the folder does not open at %d steps, not only at the one where it is moved and the database is not open yet", between)
		}
	}
}

// opensFolder reports whether a folder opens as a store; it is whole then, if it is to be compared.
func opensFolder(t *testing.T, dir string, want content, compare bool) bool {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), sqlstore.Config{Dir: dir})
	if err != nil {
		if !errors.Is(err, queue.ErrMoved) && !errors.Is(err, queue.ErrUnfinished) {
			t.Error(err)
		}
		return false
	}
	defer s.Close()
	if got := contentOf(t, s); len(got.Records) > 0 || compare {
		wantSame(t, "the folder", got, want)
		return true
	}
	return false // nothing has been copied yet: it is as it was made
}

func opensDatabase(t *testing.T, cfg store.Config, want content, compare bool) bool {
	t.Helper()
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		if !errors.Is(err, queue.ErrMoved) && !errors.Is(err, queue.ErrUnfinished) {
			t.Error(err)
		}
		return false
	}
	defer s.Close()
	if got := contentOf(t, s); len(got.Records) > 0 || compare && len(got.Records) > 0 {
		wantSame(t, "the database", got, want)
		return true
	}
	return false
}

// TestCopyOfASourceThatWentOn: an embedded store may be used after a copy was ended; what changed is copied then.
func TestCopyOfASourceThatWentOn(t *testing.T) {
	cfg, dir := fresh(t), t.TempDir()
	s := embedded(t, dir)
	furnish(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	from, to := sides(t, dir, cfg)
	left := 12
	if _, err := storecopy.Copy(t.Context(), cut{from, &left}, cut{to, &left}, nil); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if err := errors.Join(from.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	s = embedded(t, dir)
	goesOn(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = embedded(t, dir)
	want := contentOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := copyAll2(t, dir, cfg); !r.Resumed {
		t.Error("it does not say that it went on")
	}
	p := open(t, cfg)
	defer p.Close()
	wantSame(t, "the database", contentOf(t, p), want)
}

// TestMailOfTheJournalIsCopied: a folder as a power cut leaves it, with mail that is not in its database yet.
func TestMailOfTheJournalIsCopied(t *testing.T) {
	cfg, dir, cutOff := fresh(t), t.TempDir(), filepath.Join(t.TempDir(), "data")
	s := embedded(t, dir)
	defer s.Close()
	furnish(t, s)
	for i := range 5 {
		draft, err := s.NewDraft(t.Context())
		if err == nil {
			_, err = draft.Write([]byte("young"))
		}
		sub := &queue.Submission{Message: queue.Message{ID: queue.ID(fmt.Sprint("young", i)), AcceptedAt: time.Now()}, Body: draft,
			Deliveries: []queue.NewDelivery{{NextHop: "mx:a.test"}}}
		sub.Deliveries[0].Recipient.Address = mail.MustAddress("a@a.test")
		if err := errors.Join(err, s.Accept(t.Context(), sub)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(cutOff, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	copyAll2(t, cutOff, cfg)
	p := open(t, cfg)
	defer p.Close()
	found := 0
	for r, err := range p.List(t.Context(), queue.Filter{Recipient: "a@a.test"}) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := p.Open(t.Context(), r.Message.ID)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(body); err != nil || string(text) != "young" {
			t.Errorf("%q, %v", text, err)
		}
		found++
	}
	if found != 5 {
		t.Errorf("%d of 5 messages", found)
	}
}

// TestEverythingThatIsKeptIsCopied: each column of each table of both engines is copied, or is what an engine keeps for
// itself. A new form that adds one says so here or in storecopy.Tables.
func TestEverythingThatIsKeptIsCopied(t *testing.T) {
	cfg, dir := fresh(t), t.TempDir()
	folder, database := sides(t, dir, cfg)
	defer folder.Close()
	defer database.Close()
	copied := map[string]bool{}
	for _, table := range storecopy.Tables() {
		for _, c := range table.Columns {
			copied[table.Name+"."+c.Name] = true
		}
	}
	for _, one := range []struct {
		side storecopy.Side
		text string
		own  []string // tables, and columns of tables that are copied
	}{
		{folder, "SELECT m.name, p.name FROM sqlite_schema m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'",
			[]string{"totals", "party", "undelivered", "site.refs"}},
		{database, "SELECT c.table_name::text, c.column_name::text FROM information_schema.columns c JOIN pg_tables t ON t.tablename = c.table_name" +
			" AND t.schemaname = c.table_schema WHERE c.table_schema = '" + cfg.Schema + "'",
			[]string{"form", "totals", "writer", "draft", "chunk", "lease", "node", "mark", "turn", "wish.withdraws"}},
	} {
		found := 0
		err := one.side.Query(t.Context(), one.text, func(r qdb.Row) error {
			found++
			name := r.Text(0) + "." + r.Text(1)
			if !copied[name] && !slices.Contains(one.own, name) && !slices.Contains(one.own, r.Text(0)) {
				t.Errorf("%T: %s is not copied", one.side, name)
			}
			return nil
		})
		if err != nil || found < len(copied) {
			t.Errorf("%T: %d columns, %v", one.side, found, err)
		}
	}
}

// TestCopyOfADatabase is TestCopyThereAndBack of mail that was in a database from the first.
func TestCopyOfADatabase(t *testing.T) {
	cfg, dir := fresh(t), t.TempDir()
	storetest.ModelSeed(t, open(t, cfg), uint64(time.Now().UnixNano()), 300)
	p := open(t, cfg)
	furnish(t, p)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, cfg)
	want := contentOf(t, p)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	to, from := sides(t, dir, cfg)
	copyAll(t, from, to)
	s := embedded(t, dir)
	defer s.Close()
	wantSame(t, "the folder", contentOf(t, s), want)
	goesOn(t, s)
}

// TestCopyRefusesNewerForms: what a newer release wrote is left alone.
func TestCopyRefusesNewerForms(t *testing.T) {
	cfg, dir := fresh(t), t.TempDir()
	if err := errors.Join(embedded(t, dir).Close(), open(t, cfg).Close()); err != nil {
		t.Fatal(err)
	}
	c, err := sqlite.Dial(filepath.Join(dir, "queue.db"), "PRAGMA user_version=99")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := postgres.Parse(cfg.URL, cfg.Schema, 1)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := postgres.Dial(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), pc.Script(t.Context(), "INSERT INTO form (form, needs) VALUES (99, 99)"), pc.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlstore.OpenSide(sqlstore.Config{Dir: dir}); !errors.Is(err, queue.ErrNewerForm) {
		t.Errorf("the folder: %v", err)
	}
	if _, err := pgtables.OpenSide(t.Context(), cfg.URL, cfg.Schema, "the database"); !errors.Is(err, queue.ErrNewerForm) {
		t.Errorf("the database: %v", err)
	}
}

// TestOlderReleasesKeepTheirHandsOff: to a release that knows nothing of copies, a folder that was moved is a foreign
// one by what it looks at, and a database refuses what it writes first.
func TestOlderReleasesKeepTheirHandsOff(t *testing.T) {
	cfg, dir := fresh(t), t.TempDir()
	if err := embedded(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	copyAll2(t, dir, cfg)
	c, err := sqlite.Dial(filepath.Join(dir, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := sqlite.Migrate(c, 0x5073546e, nil); !errors.Is(err, sqlite.ErrForeign) {
		t.Errorf("the folder: %v", err)
	}
}

// heaps notes how large the heap becomes while a body is read.
type heaps struct {
	storecopy.Side
	most *uint64
}

func (h heaps) Body(ctx context.Context, file string) (io.ReadCloser, error) {
	r, err := h.Side.Body(ctx, file)
	return heapReader{r, h.most}, err
}

type heapReader struct {
	io.ReadCloser
	most *uint64
}

func (r heapReader) Read(p []byte) (int, error) {
	var now runtime.MemStats
	if rand.IntN(64) == 0 {
		runtime.GC()
		runtime.ReadMemStats(&now)
		*r.most = max(*r.most, now.HeapAlloc)
	}
	return r.ReadCloser.Read(p)
}

// TestALargeBodyIsCopiedInPieces: the memory does not grow with it.
func TestALargeBodyIsCopiedInPieces(t *testing.T) {
	const size, bound = 40 << 20, 4 << 20
	cfg, dir, back := fresh(t), t.TempDir(), t.TempDir()
	s := embedded(t, dir)
	draft, err := s.NewDraft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	piece := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	for range size / len(piece) {
		if _, err := draft.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	sub := &queue.Submission{Message: queue.Message{ID: "large", AcceptedAt: time.Now()}, Body: draft, Deliveries: []queue.NewDelivery{{NextHop: "mx:a.test"}}}
	sub.Deliveries[0].Recipient.Address = mail.MustAddress("a@a.test")
	if err := errors.Join(s.Accept(t.Context(), sub), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{dir, back} {
		folder, database := sides(t, to, cfg)
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		most := uint64(0)
		a, b := storecopy.Side(heaps{folder, &most}), storecopy.Side(heaps{database, &most})
		if to == back {
			a, b = b, a
		}
		if r := copyAll(t, a, b); r.Bodies.Bytes != size {
			t.Errorf("%+v", r.Bodies)
		}
		if most == 0 || most > before.HeapAlloc+bound {
			t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, most)
		}
	}
}

// TestADamagedBodyIsCopiedAsItIs: one body that does not match its checksum, and one that is gone, do not keep all
// others from being moved; they stay what they are.
func TestADamagedBodyIsCopiedAsItIs(t *testing.T) {
	cfg, dir, back := fresh(t), t.TempDir(), t.TempDir()
	s := embedded(t, dir)
	furnish(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "spool", "*.body"))
	if len(files) != 2 {
		t.Fatalf("%d files", len(files))
	}
	if err := errors.Join(os.Remove(files[0]), os.WriteFile(files[1], []byte("other"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s = embedded(t, dir)
	want := contentOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := copyAll2(t, dir, cfg); r.Bodies.Damaged != 2 || len(r.Bodies.First) != 2 {
		t.Errorf("%+v", r.Bodies)
	}
	p := open(t, cfg)
	wantSame(t, "the database", contentOf(t, p), want)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	to, from := sides(t, back, cfg)
	copyAll(t, from, to)
	s = embedded(t, back)
	defer s.Close()
	wantSame(t, "the folder", contentOf(t, s), want)
}

// TestCopyRefuses what is in use, not empty, or the copy of another.
func TestCopyRefuses(t *testing.T) {
	ctx, cfg, dir := t.Context(), fresh(t), t.TempDir()
	s := embedded(t, dir)
	furnish(t, s)
	if _, err := sqlstore.OpenSide(sqlstore.Config{Dir: dir}); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("a folder in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	from, to := sides(t, dir, cfg)
	if _, err := pgtables.OpenSide(ctx, cfg.URL, cfg.Schema, "the database"); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("two copies at once: %v", err)
	}
	p := open(t, cfg)
	registry := p.Nodes()
	if _, err := registry.Renew(ctx, nodes.Report{Session: "x", Name: "gw7", Lease: time.Minute, Anew: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := storecopy.Copy(ctx, from, to, nil); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("a target with a gateway: %v", err)
	}
	if err := errors.Join(registry.Leave(ctx, "x"), registry.Close()); err != nil {
		t.Fatal(err)
	}
	if err := p.Append(ctx, audit.Entry{By: "Ben", Action: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := storecopy.Copy(ctx, from, to, nil); !errors.Is(err, storecopy.ErrOther) {
		t.Errorf("a target that is not empty: %v", err)
	}
	if err := errors.Join(p.Close(), from.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	if !opensFolder(t, dir, contentOfFolder(t, dir), true) {
		t.Error("the source is closed after a copy that was refused")
	}
	cfg = fresh(t)
	from, to = sides(t, dir, cfg)
	left := 10
	if _, err := storecopy.Copy(ctx, cut{from, &left}, cut{to, &left}, nil); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := sqlstore.OpenSide(sqlstore.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storecopy.Copy(ctx, other, to, nil); !errors.Is(err, storecopy.ErrOther) {
		t.Errorf("the unfinished copy of another: %v", err)
	}
	if _, err := storecopy.Reopen(ctx, to); !errors.Is(err, queue.ErrUnfinished) {
		t.Errorf("an unfinished one is not opened: %v", err)
	}
	if err := errors.Join(other.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
}

func contentOfFolder(t *testing.T, dir string) content {
	t.Helper()
	s := embedded(t, dir)
	defer s.Close()
	return contentOf(t, s)
}

// TestAGatewayThatStoodStillChangesNothing: while a database is copied, and when it was moved, a process that had it
// open before is refused whatever it wants to change, and what it claimed is not its own any more.
func TestAGatewayThatStoodStillChangesNothing(t *testing.T) {
	ctx, cfg := t.Context(), fresh(t)
	p := open(t, cfg)
	defer p.Close()
	furnish(t, p)
	registry := p.Nodes()
	defer registry.Close()
	if _, err := registry.Renew(ctx, nodes.Report{Session: "x", Name: "gw7", Lease: time.Millisecond, Anew: true}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	side, err := pgtables.OpenSide(ctx, cfg.URL, cfg.Schema, "the database")
	if err != nil {
		t.Fatal(err)
	}
	to, err := sqlstore.OpenSide(sqlstore.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	_, err = storecopy.Copy(ctx, side, to, func(storecopy.Done) {
		if steps++; steps == 5 {
			if err := p.Append(ctx, audit.Entry{By: "Ben", Action: "late"}); !errors.Is(err, queue.ErrMoved) {
				t.Errorf("a change while it is copied: %v", err)
			}
			if _, err := registry.Renew(ctx, nodes.Report{Session: "x", Name: "gw7", Lease: time.Minute, Anew: true}); err == nil {
				t.Error("a gateway begins a lease while the database is copied")
			}
			if _, err := store.Open(ctx, cfg); !errors.Is(err, queue.ErrMoved) {
				t.Errorf("a start while it is copied: %v", err)
			}
		}
	})
	if err != nil || steps < 5 {
		t.Fatalf("%d steps, %v", steps, err)
	}
	if err := p.Append(ctx, audit.Entry{By: "Ben", Action: "late"}); !errors.Is(err, queue.ErrMoved) {
		t.Errorf("a change when it was moved: %v", err)
	}
	was, err := storecopy.Reopen(ctx, side)
	if err != nil || was.Word != storecopy.Moved || was.Named != to.Named() {
		t.Errorf("%+v, %v", was, err)
	}
	if err := p.Append(ctx, audit.Entry{By: "Ben", Action: "again"}); err != nil {
		t.Errorf("a change when it is open again: %v", err)
	}
	if err := errors.Join(side.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(contentOf(t, p).Entries, func(e audit.Entry) bool { return e.Action == "late" }) {
		t.Error("a late change is there")
	}
}
