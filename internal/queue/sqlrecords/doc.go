// Package sqlrecords keeps what is not mail in tables: the revisions of the rules, what mail is judged by, the
// audit trail, records and counters. It is the same for every engine that speaks SQL; a store embeds it.
package sqlrecords
