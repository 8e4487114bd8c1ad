package pgtables

import (
	"errors"

	"postern/internal/queue/postgres"
)

// HintOf says what to do about a database that mail cannot be given to, "" where nothing is known.
func HintOf(err error) string {
	if lacks, ok := errors.AsType[*Lacks](err); ok {
		return lacks.Hint()
	}
	switch {
	case errors.Is(err, postgres.ErrMisread):
		return "postgres://postern:A%2Fb@db.example.com/postern, or " +
			"postgres://postern@db.example.com/postern?passfile=FILE"
	case errors.Is(err, postgres.ErrPooled):
		return "below [pgbouncer]: pool_mode = session"
	case errors.Is(err, postgres.ErrNotDurable):
		return "look with psql, as the same role: SHOW synchronous_commit; SHOW fsync; SHOW full_page_writes"
	case errors.Is(err, postgres.ErrRights):
		return "`postern config check` says which"
	case errors.Is(err, postgres.ErrReadOnly):
		return "look with psql, as the same role: SELECT pg_is_in_recovery(); SHOW default_transaction_read_only"
	}
	return ""
}
