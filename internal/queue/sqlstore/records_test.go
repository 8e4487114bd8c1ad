package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/history/certstore"
	"postern/internal/history/peers"
	"postern/internal/history/peers/memory"
	"postern/internal/history/traffic"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/accounts"
	"postern/internal/operator/audit"
	"postern/internal/platform/records"
	"postern/internal/policy/mxpins"
	"postern/internal/queue/database"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/sqlrecords"
	"postern/internal/queue/sqltables"
	"postern/internal/queue/storetest"
)

func TestRecords(t *testing.T) {
	storetest.RunRecords(t, func(t *testing.T) (records.Store, func() records.Store) {
		dir := t.TempDir()
		s := open(t, dir)
		t.Cleanup(func() { _ = s.Close() })
		return s, func() records.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
	})
}

// What is asked of many records walks over an index, whatever is asked.
func TestRecordsAreFoundByIndex(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	at := time.Unix(1, 0)
	f := &planned{T: t, tables: tables{s}}
	for _, tt := range []struct {
		table, want string
		q           records.Query
	}{
		{"record", "sqlite_autoindex_record_1 (kind=?)", records.Query{}},
		{"record", "sqlite_autoindex_record_1 (kind=? AND key<?)", records.Query{To: "k"}},
		{"record", "record_idx (kind=? AND idx=?)", records.Query{Index: "i"}},
		{"record", "record_idx (kind=? AND idx=? AND key>?)", records.Query{Index: "i", From: "k"}},
		{"record", "record_at (kind=? AND at<?)", records.Query{Before: at}},
		{"record", "record_at (kind=? AND at>?)", records.Query{Oldest: true}},
		{"counter", "PRIMARY KEY (kind=?)", records.Query{}},
		{"counter", "PRIMARY KEY (kind=? AND key>? AND key<?)", records.Query{From: "k", To: "l"}},
		{"counter", "counter_idx (kind=? AND idx=?)", records.Query{Index: "i"}},
		{"counter", "counter_idx (kind=? AND idx=? AND key>?)", records.Query{Index: "i", From: "k"}},
	} {
		if tt.table == "record" {
			f.walks(tt.want, func(r records.Tx) error { _, err := r.List(tt.q); return err })
		} else {
			f.walks(tt.want, func(r records.Tx) error { _, err := r.Counters(tt.q); return err })
		}
		if tt.q.CheckDelete() == nil {
			f.walks(tt.want, func(r records.Tx) error { return r.DeleteAll(tt.q) })
		}
	}
}

// planned looks at how SQLite goes about statements, which it does not run.
type planned struct {
	*testing.T
	tables
	plans []string
}

// walks wants one of the statements of a change to be carried out as the last words of want say.
func (f *planned) walks(want string, change func(r records.Tx) error) {
	f.Helper()
	f.plans = nil
	err := sqlrecords.New(f, sqlite.Dialect()).ChangeRecords(f.Context(), change)
	if err != nil || !slices.ContainsFunc(f.plans, func(plan string) bool { return strings.HasSuffix(plan, want) }) {
		f.Errorf("%q, %v; want %s", f.plans, err, want)
	}
}

// Change lends what explains instead of changing.
func (f *planned) Change(ctx context.Context, _ int, do func(t database.Tx) error) error {
	return f.Read(ctx, func(r database.Reader) error { return do(explained{r, f}) })
}

type explained struct {
	database.Reader
	f *planned
}

func (e explained) Query(ctx context.Context, text string, _ func(r database.Row) error, args ...any) error {
	return e.Reader.Query(ctx, "EXPLAIN QUERY PLAN "+text, func(r database.Row) error {
		e.f.plans = append(e.f.plans, r.Text(3))
		return nil
	}, args...)
}

func (e explained) Exec(text string, args ...any) error {
	return e.Query(context.Background(), text, nil, args...)
}

func (e explained) Changed(text string, args ...any) (int64, error) { return 0, e.Exec(text, args...) }

// TestOldFormHasRoomForRecords: data of form 1, which knew no peers and no pins, is brought to the newest form and
// keeps them.
func TestOldFormHasRoomForRecords(t *testing.T) {
	s := open(t, fixture(t))
	defer s.Close()
	known, pins := memory.NewBook(s), mxpins.NewBook(s)
	if list, err := known.Peers(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("%d peers, %v", len(list), err)
	}
	if err := known.KeepPeers(t.Context(), []peers.Record{{Host: "mx.clinic.test", LastSeen: testTime}}, nil,
		10); err != nil {
		t.Fatal(err)
	}
	pin := mxpins.Pin{Domain: "a.test", Rule: "r", Name: "a.test", Since: time.Unix(1, 0)}
	if added, err := pins.Remember(t.Context(), true, []mxpins.Pin{pin}); err != nil || len(added) != 1 {
		t.Errorf("%v, %v", added, err)
	}
	var form int64
	err := s.read(t.Context(), func(c *sqlite.Conn) (err error) {
		form, err = c.Number(t.Context(), "PRAGMA user_version")
		return err
	})
	if err != nil || form != int64(sqltables.Newest()) {
		t.Errorf("form %d, %v; want %d", form, err, sqltables.Newest())
	}
}

// TestRecordsOfFormNine: what a release of form 9 kept besides mail, each kind in a table of its own, is the same
// afterwards, and goes on.
func TestRecordsOfFormNine(t *testing.T) {
	dir := folderOf(t, "form9.sql")
	for range 2 {
		s := open(t, dir)
		ninth{t, time.Date(2026, 11, 26, 12, 0, 0, 123456000, time.UTC)}.check(s)
		wantContent(t, s, "m", 20)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	defer s.Close()
	ctx, people := t.Context(), accounts.NewBook(s)
	anna := accounts.Account{ID: "a1", Name: "Anna", Version: 3}
	if err := people.PutAccount(ctx, anna); err != nil {
		t.Errorf("the next version: %v", err)
	}
	if err := people.PutAccount(ctx, accounts.Account{ID: "c1", Name: "ben", Version: 1}); err != accounts.ErrTaken {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := people.UseInvitation(ctx, "i1", accounts.Account{ID: "b1", Name: "Ben", Version: 2}); err != nil {
		t.Errorf("the invitation: %v", err)
	}
	if list, err := people.Sessions(ctx, "b1"); err != nil || len(list) != 0 {
		t.Errorf("sessions of who took the invitation: %v, %v", list, err)
	}
	if err := traffic.NewBook(s).ForgetTraffic(ctx, traffic.OfLeg, testTime.AddDate(1, 0, 0)); err != nil {
		t.Error(err)
	}
	if err := certstore.NewBook(s).ForgetCertificates(ctx, time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Error(err)
	}
	err := s.ReadRecords(ctx, func(r records.Reader) error {
		n, err := r.Count("certificate")
		sums, _ := r.Counters(records.Query{Kind: "sum leg"})
		if n != 1 || len(sums) != 0 {
			t.Errorf("%d certificates and %d sums are left", n, len(sums))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// ninth is what the fixture of form 9 holds, at its time.
type ninth struct {
	*testing.T
	at time.Time
}

func (f ninth) same(what string, got any, err error, want any) {
	f.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		f.Errorf("%s: %+v, %v\nwant %+v", what, got, err, want)
	}
}

func (f ninth) check(s *Store) {
	f.people(f.Context(), accounts.NewBook(s))
	f.trail(f.Context(), s)
	pins, err := mxpins.NewBook(s).Pins(f.Context(), "clinic.test")
	rule := `clinic "1"`
	f.same("pins", pins, err, []mxpins.Pin{{Domain: "clinic.test", Rule: rule, Name: "backup.test",
		Since: f.at.Truncate(time.Second), By: mxpins.Seen},
		{Domain: "clinic.test", Rule: rule, Name: "clinic.test", Since: f.at, By: "first-use"}})
	known, err := memory.NewBook(s).Peers(f.Context())
	if err != nil || len(known) != 2 || known[0].Host != "mx2.clinic.test" || known[1].Host != "mx1.clinic.test" ||
		!known[1].LastSeen.Equal(time.Date(2026, 11, 23, 12, 1, 0, 0, time.UTC)) || known[1].Certificate.SPKI != "cd" ||
		len(known[1].Changes) != 1 {
		f.Errorf("peers: %+v, %v", known, err)
	}
	for kind, want := range map[traffic.Kind]traffic.Sum{
		traffic.OfLeg: {At: f.at.Truncate(time.Hour), Name: "gateway-world", Level: "encrypted", Outcome: "delivered",
			Count: 3},
		traffic.OfRule: {At: f.at.Truncate(time.Hour), Name: "my rule", Level: "authenticated", Outcome: "failed",
			Count: 4},
		traffic.OfDomain: {At: f.at.Truncate(24 * time.Hour), Name: "clinic.test", Level: "authenticated",
			Outcome: "delivered", Count: 5},
	} {
		want.Kind = kind
		sums, err := traffic.NewBook(s).Traffic(f.Context(), traffic.Query{Kind: kind, Name: want.Name, Since: want.At,
			Until: f.at})
		f.same("sums", sums, err, []traffic.Sum{want})
	}
	shown, err := certstore.NewBook(s).Certificates(f.Context(), []string{"d1", "d2", "d3"})
	f.same("certificates", shown, err, []certstore.Certificate{{SHA256: "d1", DER: []byte{0x30, 0, 1, 2, 0xff},
		Seen: f.at.Truncate(time.Second)},
		{SHA256: "d2", DER: []byte("der"), Seen: f.at.AddDate(0, 0, -3).Truncate(time.Second)}})
}

func (f ninth) people(ctx context.Context, b *accounts.Book) {
	list, err := b.Accounts(ctx)
	f.same("accounts", list, err, []accounts.Account{{ID: "a1", Name: "Anna", Role: access.Administrator,
		Scope: access.Scope{All: true}, Disabled: true,
		Password: "$argon2id$x", CreatedAt: f.at, Version: 2}, {ID: "b1", Name: "Ben", Role: access.Auditor,
		Scope: access.Scope{Domains: []mail.Domain{mail.MustDomain("clinic.test")}}, CreatedAt: f.at, Version: 1}})
	session := accounts.Session{Hash: "s1", Account: "a1", Version: 2, CreatedAt: f.at, LastSeen: f.at.Add(time.Minute),
		EndsAt:   f.at.Add(time.Hour),
		ProvenAt: f.at, Client: "192.0.2.1", Agent: "browser"}
	one, err := b.Session(ctx, "s1")
	f.same("session", one, err, session)
	sessions, err := b.Sessions(ctx, "a1")
	f.same("sessions", sessions, err, []accounts.Session{session})
	token := accounts.Token{ID: "t1", Hash: "h1", Account: "a1", Name: "ci",
		Scopes: []access.Capability{access.ReadTrace}, CreatedAt: f.at,
		EndsAt: f.at.Add(time.Hour), LastUsed: f.at.Add(time.Second)}
	byHash, err := b.TokenByHash(ctx, "h1")
	f.same("token", byHash, err, token)
	tokens, err := b.Tokens(ctx, "a1")
	f.same("tokens", tokens, err, []accounts.Token{token})
	keys, err := b.Passkeys(ctx, "a1")
	if err != nil || len(keys) != 1 || keys[0].ID != "p1" || keys[0].Name != "phone" || !bytes.Equal(keys[0].Credential,
		[]byte(`{"id":"x"}`)) {
		f.Errorf("passkeys: %+v, %v", keys, err)
	}
	for hash, account := range map[string]string{"i1": "b1", "i2": ""} {
		i, err := b.Invitation(ctx, hash)
		if err != nil || i.Account != account || !i.EndsAt.Equal(f.at.Add(24*time.Hour)) || i.By == "" {
			f.Errorf("invitation %s: %+v, %v", hash, i, err)
		}
	}
}

func (f ninth) trail(ctx context.Context, s *Store) {
	var revisions []audit.Revision
	entries := []audit.Entry{{ID: 3, At: f.at.Add(3 * time.Second), By: "Ben", Action: "queue cancel", Target: "m"}}
	for n := int64(2); n > 0; n-- {
		at := f.at.Add(time.Duration(n) * time.Second)
		revisions = append(revisions, audit.Revision{Number: n, Text: fmt.Sprintf("# rules %d\n", n), AppliedAt: at,
			By: "Anna"})
		entries = append(entries, audit.Entry{ID: n, At: at, By: "Anna", Action: "rules apply", Target: "rules.toml",
			After: "text", Count: int(n)})
	}
	kept, err := s.Revisions(ctx, 0, 10)
	f.same("revisions", kept, err, revisions)
	told, err := s.Entries(ctx, 0, 10)
	f.same("the audit trail", told, err, entries)
	judged, err := s.Judgement(ctx)
	f.same("judgement", judged, err, audit.Judgement{Number: 3, Rules: 2, Tables: "t", Files: "f"})
}

// TestAChangeIsOnDiskWhenItReturns: whoever is killed right afterwards has lost nothing.
func TestAChangeIsOnDiskWhenItReturns(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	for n := range 3 {
		err := s.ChangeRecords(t.Context(), func(t records.Tx) error {
			if err := t.Add(records.Counter{Kind: "n", Key: "1", N: 1}); err != nil {
				return err
			}
			return t.Put(records.Record{Kind: "a", Key: fmt.Sprint(n)})
		})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, name := range []string{"queue.db", "queue.db-wal"} {
			text, err := os.ReadFile(filepath.Join(s.cfg.Dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		c, err := sqlite.Dial(filepath.Join(dir, "queue.db"))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := c.Number(t.Context(), "SELECT count(*) FROM record WHERE kind = 'a'")
		sum, e := c.Number(t.Context(), "SELECT sum(n) FROM counter WHERE kind = 'n'")
		if err != nil || e != nil || kept != int64(n+1) || sum != int64(n+1) {
			t.Errorf("after change %d: %d records and %d, %v, %v", n, kept, sum, err, e)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
