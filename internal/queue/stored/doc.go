// Package stored is the form of mail in tables: what stands in the columns of a message, a delivery, a
// site and an attempt, how it is made ready before a transaction begins, and how it is read back.
//
// What a search or a change needs is a column; the rest is one JSON text, facts. Fields are only ever added to that.
// What changes the meaning of what is there is a new form of the database, which is its engine's business.
//
// Numbers carry order. A message's seq counts acceptances; delivery n of message seq is seq<<20|n (ID); slot k of the
// attempts of a delivery is delivery<<4|k (Slots). So the rows of a message lie side by side in every table, and no
// index is needed to find them. The indexes of the trace are keyed by block of messages first (KeyOf), so that new
// entries go to pages that are in memory anyway, however many years of records there are; a search looks into each
// block.
//
// Every engine says this; none of it knows when something is written, or in which transaction.
package stored
