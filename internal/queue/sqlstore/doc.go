// Package sqlstore keeps mail in a journal, SQLite and files: the store of a gateway that
// stands alone. It implements queue.Store, audit.Ledger and records.Store.
//
// On disk, below Config.Dir (mode 0700):
//
//	lock            held with flock, like the folder itself, while a process has the store open; its content means nothing
//	journal/        what was accepted and delivered in the last seconds, see package wal; part of the data
//	queue.db        the database: everything else but large bodies
//	queue.db-wal    SQLite's write-ahead log; part of the data, never delete it
//	queue.db-shm    SQLite's index of that log; rebuilt when missing
//	spool/          one file for each body over SmallBody, named by 26 random characters and ".body"
//
// A message is accepted by one record of the journal, and is young from then on: in the journal and in memory, not yet
// in the database. Young deliveries are claimed and read in memory, and when they are delivered a second record says
// so. A mover brings messages into the database: as records when they have ended, with their bodies when they are old
// or too many. Whatever else happens to a young message happens in the database, in one transaction that first brings
// it there. So each change has one commit point, and the database alone answers questions, after settleDown.
//
// One goroutine writes the journal (see commitLoop), and one the database (see writer). Whoever wants a change hands it
// over and waits; all that came in meanwhile is written together, so that the price of an fsync is shared. Reads have
// connections of their own and never wait for the writer.
//
// Leases are in memory only: one process holds the lock, so when it dies its leases are gone and what was being sent is
// queued again. A claim costs no write. Everything else is durable before a method returns: the database is in WAL mode
// with synchronous=FULL, which Open reads back and insists on, and a large body's file and its folder are synced before
// the transaction that names it begins.
//
// # What another store says the same, and what not
//
// Rooms that any store on an SQL database stands on, this one and pgstore:
//
//	queue       laws: what a change does to a delivery, what a claim selects and in which order, which leases stand
//	stored      columns and facts of mail; batches, actions and bodies, before a transaction and after it
//	search      lists, sites, what an action or a purge concerns: the plan and the statements
//	sqlrecords  what is not mail: rules, judgement, audit trail, records, counters
//	group       many changes in one commit
//	gate        who is in the store, and that it is closed
//	storecopy   all of a store moved into another
//	database    what these want of an engine, and the words in which engines differ
//
// Rooms of this store alone, because it is one process on one machine:
//
//	young       the mail of the last seconds: records of the journal, memory, what a start finds
//	wal         the journal
//	spool       the folder, its lock, large bodies, room on the disk
//	sqltables   the tables: their form, the counts, the statements that change mail
//	sqlite      the engine: connections, result codes, settings, steps between forms
//
// Here they are joined: the order in which journal, memory and database learn of a change, leases and wishes in memory,
// and what a start does with what it finds.
package sqlstore
