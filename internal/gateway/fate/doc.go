// Package fate decides whether a delivery is put off, bounced or held, and writes what its sender is told.
//
// A Fate is the settlement that ends a lease, with the recipient's part of a notice where one is owed. Whoever empties
// the queue (gateway/dispatch) asks for the fates of what it claimed and settles them in one transaction with the
// notices that they call for (Notices). Nothing is stored here but the bodies of notices, as drafts.
//
//	decider.go    put off, given back, failed; when the next look at a delivery is due
//	overdue.go    its deadline has come: delay notice, expiry, a notice that may not travel is held
//	otherwise.go  another way, where a rule orders one
//	effects.go    what rules did with it when it was accepted
//	notice.go     what senders are told, within the bounds of backscatter.go
package fate
