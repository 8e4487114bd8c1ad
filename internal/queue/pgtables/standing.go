package pgtables

import (
	"context"

	"postern/internal/queue/postgres"
	"postern/internal/queue/storecopy"
)

// How the store stands to copies is a row of a table that is there only then. A store that is closed has a trigger on
// every table besides, which refuses each change by a connection that has not said that it copies: those of a gateway
// that began in the same moment, or stood still and wakes, and those of any other release.

// closedTables have the trigger.
const closedTables = "node mark turn writer lease draft chunk totals site message body delivery attempt wish " +
	"revision judgement entry record counter"

// gate is what the triggers call.
const gate = `CREATE OR REPLACE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF coalesce(current_setting('postern.copy', true), '') <> 'on' THEN
		RAISE EXCEPTION 'this store was moved to another, or is being copied' USING ERRCODE = '` + postgres.Closed + `';
	END IF;
	RETURN NULL;
END $$`

// Usable refuses a server that is not durable, a role that lacks rights, and a store that was moved or is an unfinished
// copy.
func Usable(ctx context.Context, c *postgres.Conn, schema string) (postgres.Settings, error) {
	settings, err := postgres.AssertDurable(ctx, c)
	if err != nil {
		return settings, err
	}
	if err := allowed(ctx, c, schema); err != nil {
		return settings, err
	}
	standing, err := readStanding(ctx, c, schema)
	if err != nil {
		return settings, postgres.Translate(err)
	}
	return settings, standing.Closed("the database")
}

func readStanding(ctx context.Context, c *postgres.Conn, schema string) (s storecopy.Standing, err error) {
	n, err := c.Number(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = ? AND tablename = 'standing'", schema)
	if err != nil || n == 0 {
		return s, err
	}
	return storecopy.ReadStanding(ctx, c)
}
