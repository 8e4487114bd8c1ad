// Package queue says what every store of mail must guarantee: what a message, a delivery and a site are, which states a
// delivery can be in, and the port that the stores implement.
//
//	        Accept                    Claim                     Settle
//	250 ------------>  queued  ------------------>  sending  ------------->  delivered | failed
//	                   |   ^  ^                       |  |
//	           hold    |   |  +-----------------------+  +--------------->  held (a notice that may not travel)
//	                   v   | release     Settle (deferred), lease expired
//	                   held+---------------------------------------------->  cancelled (by an administrator)
//
// Guarantees, proven by storetest under these names:
//
//	G1  Accept returned nil: content and envelope are on stable storage.
//	G2  Every accepted recipient is in exactly one state.
//	G3  Leaving the queue, writing its record and queueing its DSN are one transaction (one Settle).
//	G4  An expired lease can be claimed by another worker, and a late Settle under an old lease is refused.
//	G5  A duplicate can come only from the window between the peer's 250 and our Settle; never two DSNs for one delivery.
//	G6  The stored form is versioned and apart from these types; a newer form is refused with ErrNewerForm.
//
// An administrator's action on a delivery that is under a lease cannot be done at once: a worker may be saying MAIL. It
// becomes a wish (Wish), which stays with the delivery:
//
//   - Act makes it durable before it answers, and says of how many deliveries it is pending.
//   - When the lease ends and the delivery would wait again, it is carried out instead: deferred becomes cancelled or
//     held, in the same transaction. Nothing that is wished away is claimed again.
//   - When the delivery ends otherwise, the wish is too late; the record keeps it and shows that.
//   - A lease ends by Settle; by running out, and then Claim and Act carry the wish out before they do anything else;
//     and with the process, and then the first Claim or Act does.
//   - Release and Retry undo a Hold that is still wished. A wish to cancel stays.
//   - How a wish ended is an entry in the audit trail, in the transaction that ended it.
//
// A worker asks Wished before it says MAIL and lets go of what is wished away.
//
// A finished delivery stays as the record of what happened until it is purged; only its body goes, with the last open
// delivery of its message. What decides when to try again lives above, in memory, per site (see schedule), and is
// rebuilt from Sites at start.
package queue
