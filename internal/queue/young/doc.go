// Package young holds the mail that is in the journal and not yet in the database behind it. It has what the journal
// tells of it (AcceptRecord, SettleRecord), what is kept of it in memory (Mail), and what a start finds of it (Finds).
//
// It knows no table and writes nothing: one goroutine of a store writes the journal, another the database, and both say
// here what has become durable. A message goes through Announce, Admit, and Settle with Delivered for each delivery;
// whoever brings it into the database takes it first (Take, TakeDue, TakeThose), then nobody else is at it until Land
// or Thaw.
package young
