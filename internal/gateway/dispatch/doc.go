// Package dispatch is the loop that empties the queue: it decides with schedule which site may be worked at, claims
// what waits there, has deliver climb the ladder, transfers message by message, and settles each outcome with its
// record and its notice in one transaction.
//
//	Run ── starts workers ──> work(site): claim ──> serve, message by message, step by step ──> linger for more
//	 ^                          ^                     step: fates, what is left, how to go on         │
//	 └── Wake, Kick, timers     └─────────────────────────────────────────────────────────────────────┘
//
// A step holds the deliveries of one message against what is in force (misplaced), asks whether an administrator wants
// them back (unwanted), sees that there is a channel (connect), and sends the message (transfer). Whatever decides
// about some of them ends it. What it decided is settled in one place before the next step begins.
//
//	run.go, step.go         the worker and its steps
//	uptodate.go, leases.go, channel.go, transfer.go   what a step may come to
//	settle.go               fates (gateway/fate), with the notices they call for, as one transaction
//
//	sweep (each second): deadlines: delay notice, expiry, a notice that may not travel is held
//	tidy  (each hour):   finished records past retention are purged in small steps
//
// Three rules keep the invariant of design.md §3 here. A site has one requirement and a channel is opened for exactly
// it. Before anything claimed is sent, requirement and next hop are held against the rules and routes of this moment,
// and a delivery that needs more is moved to another site, never sent. And what is lowered is lowered only by an
// administrator's own action, never here.
//
// A channel that was opened without what is published serves messages that set that aside, and is closed before any
// other (connect); deliver refuses what slips through. Of a batch such messages are served first (waivingFirst),
// because the first that fails puts off the rest.
//
// A batch is for quick servers. Where a second passes over a part of it, most of what is not begun goes back for other
// workers, as it was (hand). Of that nothing is told, for nothing became of it.
//
// The wall clock may jump while mail waits: see clock. Whoever asks now, under Dispatcher.mu, has the schedule told
// first.
//
// The scheduler is guarded by Dispatcher.mu; workers, the sweep and the tidying are joined before Run returns.
package dispatch
