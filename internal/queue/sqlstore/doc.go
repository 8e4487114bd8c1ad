// Package sqlstore keeps mail in one SQLite database and a folder of large bodies: the store of a gateway that stands
// alone. It implements queue.Store and ledger.Ledger.
//
// On disk, below Config.Dir (mode 0700):
//
//	lock            held with flock while a process has the store open; its content means nothing
//	queue.db        the database: everything but large bodies
//	queue.db-wal    SQLite's write-ahead log; part of the data, never delete it
//	queue.db-shm    SQLite's index of that log; rebuilt when missing
//	spool/          one file for each body over SmallBody, named by 26 random characters and ".body"
//
// One goroutine writes (see writer). Whoever wants a change hands it a request and waits; it runs all the requests that
// came in meanwhile in one transaction and commits once for all of them, so that the price of an fsync is shared. Reads
// have connections of their own and never wait for the writer.
//
// Leases are in memory only: one process holds the lock, so when it dies its leases are gone and what was being sent is
// queued again. A claim costs no write. Everything else is durable before a method returns: the database is in WAL mode
// with synchronous=FULL, which Open reads back and insists on, and a large body's file and its folder are synced before
// the transaction that names it begins.
//
// Numbers carry order. A message's seq counts acceptances; delivery n of message seq is seq<<20|n; slot k of the
// attempts of a delivery is delivery<<4|k. So the rows of a message lie side by side in every table, and no index is
// needed to find them. The indexes of the trace are keyed by day first, so that new entries go to pages that are in
// memory anyway, however many years of records there are; a search looks into each day.
package sqlstore
