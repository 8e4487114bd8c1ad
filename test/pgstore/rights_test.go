package pgstore

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"postern/internal/queue"
	"postern/internal/queue/database"
	store "postern/internal/queue/pgstore"
	"postern/internal/queue/pgtables"
	"postern/internal/queue/postgres"
)

// as is the same place for another role.
func as(t testing.TB, cfg store.Config, role string) store.Config {
	t.Helper()
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	cfg.URL = u.String()
	return cfg
}

// TestLeastRights: a role that has what is needed, and nothing else, works with the store that another made. Without one
// of these rights it is told which.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	p := connect(t, cfg)
	user := "user_" + cfg.Schema
	p.do(fmt.Sprintf("CREATE ROLE %s LOGIN; GRANT USAGE ON SCHEMA %s TO %[1]s", user, cfg.Schema))
	for name, rights := range pgtables.Needed() {
		kind := ""
		if rights[0] == "USAGE" {
			kind = "SEQUENCE "
		}
		p.do("GRANT " + strings.Join(rights, ", ") + " ON " + kind + name + " TO " + user)
	}
	s := open(t, as(t, cfg, user))
	defer s.Close()
	if err := s.Accept(t.Context(), submission(t, s, 1, bytes.Repeat([]byte("x"), 200_000))); err != nil {
		t.Error(err)
	}
	if err := settle(s, queue.Delivered, claim(t, s, 1)...); err != nil {
		t.Error(err)
	}
	if _, err := s.Purge(t.Context(), begin, 10); err != nil {
		t.Error(err)
	}
	refused := func(taken, words string) {
		t.Helper()
		p.do("REVOKE " + taken + " FROM " + user)
		if _, err := store.Examine(t.Context(), as(t, cfg, user)); !errors.Is(err, postgres.ErrRights) ||
			!strings.Contains(err.Error(), words) {
			t.Errorf("without %s: %v", taken, err)
		}
		if s, err := store.Open(t.Context(), as(t, cfg, user)); err == nil {
			s.Close()
			t.Errorf("without %s: it opens", taken)
		}
		p.do("GRANT " + taken + " TO " + user)
	}
	refused("USAGE ON SEQUENCE message_seq", "it lacks USAGE on message_seq")
	refused("DELETE ON wish", "it lacks DELETE on wish")
	refused("SELECT ON party", "it lacks SELECT on party")
	refused("USAGE ON SCHEMA "+cfg.Schema, "it lacks USAGE on schema "+cfg.Schema)
}

// TestRightsAreComplete: what a role is asked for is all that there is.
func TestRightsAreComplete(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	var there []string
	err := connect(t, cfg).c.Query(t.Context(), `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = ? AND c.relkind IN ('r', 'v', 'S', 'p', 'm', 'f')
		AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i' AND c.relkind = 'S')
		ORDER BY 1`, func(r database.Row) error {
		there = append(there, r.Text(0))
		return nil
	}, cfg.Schema)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(there)
	if asked := slices.Sorted(maps.Keys(pgtables.Needed())); !slices.Equal(asked, there) {
		t.Errorf("asked for\n%v, there are\n%v", asked, there)
	}
}

// TestNoRightToMakeTables is told before anything is tried.
func TestNoRightToMakeTables(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	role := "maker_" + cfg.Schema
	connect(t, cfg).do("CREATE ROLE " + role + " LOGIN")
	if _, err := store.Examine(t.Context(), as(t, cfg, role)); !errors.Is(err, postgres.ErrRights) ||
		!strings.Contains(err.Error(), "make the tables") {
		t.Error(err)
	}
}
