package pgtables

import (
	"context"
	_ "embed"

	"postern/internal/queue/postgres"
	"postern/internal/queue/stored"
)

// formOne is what there was first.
//
//go:embed schema.sql
var formOne string

// forms bring a schema from one form to the next: entry n makes form n+1. Released entries never change. Gateways that
// do not know what an entry needs stop at their next renewal; so that they take nothing until then, such an entry ends
// their leases: UPDATE node SET until = clock_timestamp().
func forms() []postgres.Form { return []postgres.Form{{Text: formOne, Needs: 1}} }

// Newest is the form that Migrate makes.
func Newest() int { return len(forms()) }

// Migrate brings the tables to the newest form.
func Migrate(ctx context.Context, c *postgres.Conn, schema string) error {
	return postgres.Migrate(ctx, c, schema, forms())
}

// FormOf is the form of the tables, 0 where there are none yet, and the newest, which is the one that Migrate makes. It
// answers queue.ErrNewerForm where a newer release has changed them so that this one cannot go on.
func FormOf(ctx context.Context, c *postgres.Conn, schema string) (have, newest int, err error) {
	have, needs, _, err := postgres.FormOf(ctx, c, schema)
	if newest = len(forms()); err == nil {
		err = postgres.Newer(have, needs, newest)
	}
	return have, newest, err
}

// Schema is where the tables are when nothing else is said.
const Schema = "postern"

// Advisory locks of a transaction, over all gateways.
const (
	// LockSites is held shared by what lets deliveries refer to sites, so that no site is purged in between.
	LockSites = 0x5073546e + 1
	// LockRecords is held by what reads and then changes records, rules or judgements: one gateway at a time.
	LockRecords = 0x5073546e + 2
	// lockCopy is held by a connection that copies the store, with the hash of its schema.
	lockCopy = 0x5073546e + 3
)

// ChunkSize is how much of a large body is one row: all but the last have so many bytes.
const ChunkSize = 128 << 10

// ChunksOf is how many rows a large body is.
func ChunksOf(size int64) int64 { return (size + ChunkSize - 1) / ChunkSize }

// WriterColumns are the columns of a writer's row.
const WriterColumns = "id, number, " + stored.CountColumns + ", body_bytes"
