// Package pgtables is the tables of a store in PostgreSQL. It says their form and how an older one becomes the newest,
// the locks that all gateways agree on, how the store stands to copies, and what a copy sees of it (Side).
//
// Mail in them is as package stored says. What an engine of its own needs besides stands here: bodies in chunks, a row
// of counts for each writer, leases, and what gateways tell each other (see pgnodes).
package pgtables
