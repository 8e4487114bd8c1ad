package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/lab/postgres"
	"postern/internal/operator/audit"
	"postern/internal/queue"
	store "postern/internal/queue/pgstore"
	engine "postern/internal/queue/postgres"
)

// alone is a server of a test's own, for what is set for a whole server.
func alone(t testing.TB, settings ...string) *postgres.Server {
	t.Helper()
	fresh(t) // skips where there is no server
	s, err := postgres.Start(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// soon waits until something is so.
func soon(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// listed counts what a list has.
func listed(s queue.Store, f queue.Filter) (n int, err error) {
	for _, err := range s.List(context.Background(), f) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// TestARoleThatIsChanged: what is set for a role counts for connections that come after it. Mail is refused over such
// a one, what is under way is still written, and all is well by itself when the role is again as it was.
func TestARoleThatIsChanged(t *testing.T) {
	for name, tt := range map[string]struct {
		set     string
		flaw    error
		settles bool
	}{
		"loose":     {"synchronous_commit = off", engine.ErrNotDurable, true},
		"local":     {"synchronous_commit = local", engine.ErrNotDurable, true},
		"read only": {"default_transaction_read_only = on", engine.ErrReadOnly, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := fresh(t)
			p, role := connect(t, cfg), "role_"+cfg.Schema
			p.do("CREATE ROLE " + role + " LOGIN SUPERUSER")
			told := make(chan error, 100)
			cfg = as(t, cfg, role)
			cfg.Patience, cfg.Told = time.Second, func(err error) { told <- err }
			s := open(t, cfg)
			defer s.Close()
			accept := func(n int) error {
				sub := submission(t, s, n, []byte("x"))
				defer sub.Body.Discard()
				return s.Accept(t.Context(), sub)
			}
			if err := accept(1); err != nil {
				t.Fatal(err)
			}
			work := claim(t, s, 1)
			p.do("ALTER ROLE " + role + " SET " + tt.set)
			p.do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + role + "'")
			if err := accept(2); !errors.Is(err, tt.flaw) {
				t.Errorf("accepted: %v", err)
			}
			if err := s.Takes(); !errors.Is(err, tt.flaw) {
				t.Errorf("it says that it takes mail: %v", err)
			}
			if err := <-told; !errors.Is(err, tt.flaw) {
				t.Errorf("told of %v", err)
			}
			if _, err := s.AppendRules(t.Context(), "x", audit.Entry{At: begin}); !errors.Is(err, tt.flaw) {
				t.Errorf("rules were taken: %v", err)
			}
			if err := settle(s, queue.Delivered, work...); (err == nil) != tt.settles {
				t.Errorf("what was under way: %v", err)
			}
			if _, err := store.Examine(t.Context(), cfg); !errors.Is(err, tt.flaw) {
				t.Errorf("examined: %v", err)
			}
			p.do("ALTER ROLE " + role + " RESET ALL")
			soon(t, "mended", func() bool { return s.Takes() == nil })
			if err := accept(3); err != nil {
				t.Errorf("mended: %v", err)
			}
		})
	}
}

// TestAServerThatIsChanged: what is read again without a restart is noticed with the next message.
func TestAServerThatIsChanged(t *testing.T) {
	t.Parallel()
	server := alone(t)
	cfg := store.Config{URL: server.URL(), Session: "gw1"}
	s := open(t, cfg)
	defer s.Close()
	joins(t, registry(t, s), "gw1", time.Minute)
	cfg.Schema = "postern"
	p := connect(t, cfg)
	accept := func(n int) error {
		sub := submission(t, s, n, []byte("x"))
		defer sub.Body.Discard()
		return s.Accept(t.Context(), sub)
	}
	if err := accept(1); err != nil {
		t.Fatal(err)
	}
	reload := func(what, shown string) {
		t.Helper()
		p.do("ALTER SYSTEM " + what)
		p.do("SELECT pg_reload_conf()")
		name, want, _ := strings.Cut(shown, "=")
		soon(t, what, func() bool {
			return p.number("SELECT (current_setting('"+name+"') = '"+want+"')::integer") == 1
		})
	}
	n := 1
	for _, name := range []string{"fsync", "full_page_writes"} {
		reload("SET "+name+" = off", name+"=off")
		soon(t, "refused", func() bool { n++; return accept(n) != nil })
		if err := accept(1000); !errors.Is(err, engine.ErrNotDurable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		reload("RESET "+name, name+"=on")
		soon(t, "mended", func() bool { n++; return accept(n) == nil })
	}
	// A session keeps what it began with.
	p.do("ALTER SYSTEM SET synchronous_commit = off")
	p.do("SELECT pg_reload_conf()")
	soon(t, "a new session is loose", func() bool {
		_, err := store.Examine(t.Context(), cfg)
		return errors.Is(err, engine.ErrNotDurable)
	})
	if p.number("SELECT (current_setting('synchronous_commit') = 'on')::integer") != 1 {
		t.Error("a session that began well has become loose")
	}
	if err := accept(2000); err != nil {
		t.Error(err)
	}
}

// TestCommitThatReachedNoStandby: who waits for a standby at COMMIT is sent on by an administrator. That is no success:
// it is asked until the standby has it, and where there is none in time nobody knows.
func TestCommitThatReachedNoStandby(t *testing.T) {
	t.Parallel()
	server := alone(t)
	cfg := store.Config{URL: server.URL(), Schema: "postern", Patience: 2 * time.Second}
	s := open(t, cfg)
	defer s.Close()
	r := registry(t, s)
	p := connect(t, cfg)
	if err := s.Accept(t.Context(), submission(t, s, 1, nil)); err != nil {
		t.Fatal(err)
	}
	standby := func(set string) {
		p.do("SET synchronous_commit = local")
		p.do("ALTER SYSTEM " + set)
		p.do("SELECT pg_reload_conf()")
	}
	const waits = " FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
	sent := func() int64 { return p.number("SELECT count(pg_cancel_backend(pid))" + waits) }
	standby("SET synchronous_standby_names = 's1'")
	soon(t, "the standby is waited for", func() bool {
		return p.number("SELECT (current_setting('synchronous_standby_names') = 's1')::integer") == 1
	})
	answer, n := make(chan error, 1), 1
	// accept accepts messages until one waits for the standby, which a session hears of when it likes, and sends it on.
	accept := func() {
		for waits := false; !waits; {
			n++
			message := submission(t, s, n, nil)
			go func() { answer <- s.Accept(t.Context(), message) }()
			soon(t, "the COMMIT waits or is done", func() bool {
				select {
				case err := <-answer:
					if err != nil {
						t.Error(err)
					}
					return true
				default:
				}
				waits = sent() > 0
				return waits
			})
		}
	}
	accept()
	soon(t, "the question waits", func() bool { return p.number("SELECT count(*)"+waits) > 0 })
	standby("RESET synchronous_standby_names")
	if err := <-answer; err != nil {
		t.Errorf("the standby got it in the end: %v", err)
	}
	standby("SET synchronous_standby_names = 's1'")
	// sentOn is what comes of it when whatever waits for the standby is sent on, again and again.
	sentOn := func(answer chan error) error {
		for {
			select {
			case err := <-answer:
				return err
			case <-time.After(50 * time.Millisecond):
				sent()
			}
		}
	}
	accept()
	if err := sentOn(answer); !errors.Is(err, queue.ErrUnknown) {
		t.Errorf("no standby ever had it: %v", err)
	}
	renewed := make(chan error, 1)
	go func() {
		_, err := r.Renew(t.Context(), nodes.Report{Session: "gw1", Name: "gw1", Lease: time.Minute, Anew: true})
		renewed <- err
	}()
	if err := sentOn(renewed); !errors.Is(err, engine.ErrUnsure) {
		t.Errorf("a lease that no standby has: %v", err)
	}
	standby("RESET synchronous_standby_names")
	soon(t, "accepted", func() bool {
		sub := submission(t, s, n+1, nil)
		defer sub.Body.Discard()
		return s.Accept(t.Context(), sub) == nil
	})
	if got := states(t, s); got[queue.Queued] != int64(n)+1 {
		t.Errorf("stored: %v", got)
	}
}

// TestConnectionsThatEnded: an administrator ends all of them. Whoever only reads, and whoever changes something, does
// so over a new one.
func TestConnectionsThatEnded(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	p, role := connect(t, cfg), "ends_"+cfg.Schema
	p.do("CREATE ROLE " + role + " LOGIN SUPERUSER")
	s := open(t, as(t, cfg, role))
	defer s.Close()
	r := registry(t, s)
	large := make([]byte, 300_000)
	n := 0
	calls := map[string]func() error{
		"Stats":     func() error { _, err := s.Stats(t.Context()); return err },
		"List":      func() error { _, err := listed(s, queue.Filter{Limit: 10}); return err },
		"Revisions": func() error { _, err := s.Revisions(t.Context(), 0, 10); return err },
		"Wished":    func() error { _, err := s.Wished(t.Context(), []queue.DeliveryID{1}); return err },
		"Nodes":     func() error { _, err := r.Nodes(t.Context()); return err },
		"Raise":     func() error { return r.Raise(t.Context(), nodes.Mark{Number: 3}) },
		"Act": func() error {
			_, err := s.Act(t.Context(), queue.Action{Kind: queue.Retry, Now: begin, By: "test"})
			return err
		},
		"Accept": func() error { n++; return s.Accept(t.Context(), submission(t, s, n, large)) },
	}
	for range 3 {
		for name, call := range calls {
			if err := call(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			p.do("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '" + role + "'")
			if err := call(); err != nil {
				t.Errorf("%s, after its connection was ended: %v", name, err)
			}
		}
	}
	p.do("ALTER ROLE " + role + " CONNECTION LIMIT 0; ALTER ROLE " + role + " NOLOGIN")
	p.do("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '" + role + "'")
	if _, err := s.Stats(t.Context()); !errors.Is(err, queue.ErrNoDatabase) {
		t.Errorf("without a database: %v", err)
	}
	p.do("ALTER ROLE " + role + " CONNECTION LIMIT -1 LOGIN")
}

// TestAServerThatFallsSilent as soon as connections are made: they are given up, and all is well by itself when it
// answers again, whoever waited meanwhile.
func TestAServerThatFallsSilent(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	p, url := through(t, cfg.URL)
	cfg.URL, cfg.Patience = url, time.Second
	s := open(t, cfg)
	defer s.Close()
	p.silence(true)
	p.sever(false)
	for range 10 { // more than the pool has places
		go s.Revisions(context.Background(), 0, 10)
	}
	time.Sleep(500 * time.Millisecond)
	p.silence(false)
	soon(t, "reads are answered", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Revisions(ctx, 0, 10)
		return err == nil
	})
	if err := s.Accept(t.Context(), submission(t, s, 1, nil)); err != nil {
		t.Error(err)
	}
}

// TestSettingsOfARole: what somebody sets for a role for other programs does not change what the store does.
func TestSettingsOfARole(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	p, role := connect(t, cfg), "sets_"+cfg.Schema
	p.do("CREATE ROLE " + role + " LOGIN SUPERUSER")
	for _, set := range []string{"standard_conforming_strings = off", "client_min_messages = error", "search_path = public",
		"statement_timeout = 150", "idle_session_timeout = 50", "enable_indexscan = off", "bytea_output = escape",
		"datestyle = German", "client_encoding = latin1"} {
		p.do(fmt.Sprintf("ALTER ROLE %s SET %s", role, set))
	}
	s := open(t, as(t, cfg, role))
	defer s.Close()
	if err := s.Accept(t.Context(), submission(t, s, 1, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // idle for longer than the role may be
	for _, recipient := range []string{"*@b.test", "r?@b.*"} {
		if found, err := listed(s, queue.Filter{Recipient: recipient, Limit: 10}); err != nil || found != 1 {
			t.Errorf("%s: %d, %v", recipient, found, err)
		}
	}
}
