// Package pgnodes is where the gateways that share a PostgreSQL database find each other: nodes.Registry on three
// tables (node, mark, turn) of pgtables.
//
// It has three connections of its own, apart from those that carry mail, so that no crowd of mail costs a gateway its
// lease: one that renews, one that asks, and one that listens. Every time is of the database's clock. The connection
// that asks answers no more than one question at a time; none of them takes long.
//
// # What an acceptance owes
//
// The transaction that accepts mail begins with Fence, which locks the row of its gateway against deletion (FOR KEY
// SHARE) while its lease runs. Renewals go on beside that. Whoever reads that a lease has ended has waited for all such
// transactions before (Nodes locks the rows of ended leases FOR UPDATE). So nothing is accepted under a lease after
// somebody was told that it has ended, however long a gateway, or the line to the database, stood still in between.
//
// # What is newest
//
// Renew stores what a gateway says and commits, and reads what is newest only then. Whoever raises a mark and reads the
// nodes after that either finds the gateway, or the gateway finds the mark.
package pgnodes
