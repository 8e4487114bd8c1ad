// Package search finds deliveries in tables.
//
// The tables are those of package stored; lists and actions ask. A filter is answered by an index that leaves few
// candidates, by a stream that yields deliveries newest first, or by a walk from the newest down. Whatever is found so
// may be more than was asked for: queue.Filter.Matches decides. All is read in pages, and between pages no connection
// is held.
//
// The plan is the same for every engine, and so are its statements but for a few words (database.Dialect).
package search
