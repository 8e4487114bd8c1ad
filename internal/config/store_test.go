package config

import (
	"strings"
	"testing"
)

func TestThePasswordOfAStoreIsNotShown(t *testing.T) {
	for _, c := range []struct{ store, shown string }{
		{"", ""},
		{"postgres://db/postern", "postgres://db/postern"},
		{"postgres://postern@db/postern", "postgres://postern@db/postern"},
		{"postgres://postern:geheim@db/postern", "postgres://postern:***@db/postern"},
		{"postgres://postern:geh@eim@db:5432/postern", "postgres://postern:***@db:5432/postern"},
		{"postgres://postern:geh%2Feim@db", "postgres://postern:***@db"},
		{"postgres://postern:geheim@db1:5432,db2:5433/postern?target_session_attrs=read-write", "postgres://postern:***@db1:5432,db2:5433/postern?target_session_attrs=read-write"},
		{"postgres://db/postern?user=postern&password=geheim&sslmode=verify-full", "postgres://db/postern?user=postern&password=***&sslmode=verify-full"},
		{"postgres://db/postern?pass%77ord=geheim", "postgres://db/postern?pass%77ord=***"},
		{"postgres://db/postern?sslpassword=geheim", "postgres://db/postern?sslpassword=***"},
		{"postgres:///postern?host=/run/postgresql", "postgres:///postern?host=/run/postgresql"},
		{"postgres://postern@db/postern?passfile=/etc/pgpass&passwd=geheim", "postgres://postern@db/postern?passfile=/etc/pgpass&passwd=***"},
		{"postgres://[::1]:5432,[::2]/postern", "postgres://[::1]:5432,[::2]/postern"},
		{"host=db password=geheim", hidden},
		// passwords that are not written as they must be
		{"postgres://postern:geh/eim@db/postern", "postgres://postern:***@db/postern"},
		{"postgres://postern:geh?eim@db/postern", "postgres://postern:***@db/postern"},
		{"postgres://postern:12/geh@eim@db/postern?sslmode=disable", "postgres://postern:***@db/postern?sslmode=disable"},
		{"postgres://postern:geh#eim@db", "postgres://postern:***@db"},
		{"postgres://postern%3Ageheim@db", "postgres://postern:***@db"},
		{"postgres://postern:geh/eim", "postgres://***"},
		{"postgres://db/postern?password=geh:eim@db", "postgres://***:***@db"},
		{"postgres://db/postern?password=geh@eim", "postgres://db/postern?password=***"},
		{"postgres://postern:geh@db?a&password=eim", "postgres://postern:***@db?a&password=***"},
	} {
		s := Store(c.store)
		if s.Shown() != c.shown || s.HasPassword() != (c.shown != c.store) {
			t.Errorf("%s is shown as %s", c.store, s.Shown())
		}
	}
	cfg := Default()
	cfg.Store = "postgres://postern:geheim@db/postern"
	if text := cfg.TOML(); strings.Contains(text, "geheim") || !strings.Contains(text, "postgres://postern:***@db/postern") {
		t.Error(text)
	}
}
