package danger

import (
	"testing"

	"postern/internal/config"
)

func TestTheWayToADatabaseIsProtected(t *testing.T) {
	for store, findings := range map[string]int{
		"":                              0,
		"postgres:///postern":           0,
		"postgres://localhost/postern":  0,
		"postgres://[::1]:5432/postern": 0,
		"postgres://127.0.0.1:5432,127.0.0.2/postern":                 0,
		"postgres:///postern?host=/run/postgresql":                    0,
		"postgres:///postern?host=db.example.com":                     1,
		"postgres://db.example.com/postern":                           1,
		"postgres://db.example.com/postern?sslmode=require":           1,
		"postgres://db.example.com/postern?sslmode=verify-full":       0,
		"postgres://127.0.0.1,db.example.com/postern":                 1,
		"postgres://postern:x@db.example.com/postern":                 2,
		"postgres://postern:x@localhost/postern":                      1,
		"postgres://10.0.0.1:5432/postern?sslmode=prefer&application": 1,
	} {
		if got := storeDangers(config.Store(store)); len(got) != findings {
			t.Errorf("%s: %+v", store, got)
		}
	}
}
