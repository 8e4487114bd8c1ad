// Package pgstore keeps mail in PostgreSQL: the store of gateways that share one queue. It implements queue.Store,
// audit.Ledger and records.Store. Everything is in the database; nothing is on a gateway's disk.
//
// # What another store says the same, and what not
//
// It stands on the rooms of any store on an SQL database, which package sqlstore lists: stored, search, sqlrecords,
// group, gate, storecopy and database.
//
// Rooms of this store alone, because it is one of several on one database:
//
//	postgres   the engine: connections, codes, settings, steps between forms
//	pgtables   the tables, how they stand to copies, and all of it as a copy sees it
//	pgnodes    where the gateways find each other
//	storeclock the clock of the database, for gateways whose clocks differ
//	leased     mail that was accepted with its lease already held, and the leases that this process gave, in memory
//
// Here they are joined: one transaction for what many want at once, the statements that change mail, and what follows
// from being one of several:
//
//   - Every time is by the clock of the database, which gateways are told by (see storeclock). The store itself asks that
//     clock, and no other, where it needs to know what time it is.
//   - A lease is a row, with a token from a sequence. Its key is what makes a claim exclusive; a claim passes over what
//     others are at (SKIP LOCKED). A lease that ran out is taken over by the next claim, and one of a process that
//     closes its store ends with it.
//   - Who changes a delivery has its row locked, and looks at the lease only then. Rows are locked in the order of
//     their numbers: deliveries, messages, sites.
//   - A site's row is made by the transaction that needs it. What refers to sites holds an advisory lock shared, and
//     the purge of sites holds it alone, so that no delivery refers to a site that is gone.
//   - Counts are sums over one row for each writer of each gateway: no row is written by two of them.
//   - Records, rules and judgements are read and then changed by one gateway at a time (an advisory lock).
//
// Three connections of a process write: one new mail and what is settled, which share each wait for the disk, one what
// is claimed, one the rest (see writer). All changes that came in while one was busy are one transaction of at most two
// round trips: what they want to look at, with rows locked; then each is decided on its own, and what they come to is
// written by one statement a table, whatever their number, and committed. What a process remembers of the leases it
// gave need not be looked at; the transaction checks it and is tried again, looking, where it was not so (see recall).
//
// New mail mostly leaves within a second, by the gateway that accepted it. It is accepted with its lease already held,
// and comes from memory when it is claimed (see package leased).
//
// A transaction writes its number into the row of its writer. When the connection is lost at COMMIT, the writer asks on
// a new connection which number stands there, by changing the row: that waits for the transaction to end, and is as
// durable as the answer. Then its callers hear what is true, or all is tried again. Where the database cannot be asked
// in time they hear queue.ErrUnknown. Leases that nobody heard of then are ended by the next transaction. A COMMIT that
// comes with a warning is one whose answer is lost: its wait for the standbys was cancelled (postgres.ErrUnsure).
//
// Whether the database may be given mail is looked at again and again (see watch.go).
//
// Where a change is refused for want of room nothing new is accepted, and nothing should be sent, until a trial finds
// room (see Store.Room).
//
// A body up to 128 KiB is a row. A larger one is written in chunks while it comes in and read in chunks, so that a
// session holds no more than that. Chunks belong to a row of the table draft until their message is committed, in the
// transaction that does so, and again for some minutes after it ended, for who is reading. What is in that table when
// its time is over is swept away.
package pgstore
