// Package pgstore keeps mail in PostgreSQL: the store of gateways that share one queue. It implements queue.Store,
// audit.Ledger and records.Store. Everything is in the database; nothing is on a gateway's disk.
package pgstore
