// Package schedule decides which site may start a worker, and when. It knows sites by name and times by value; it has no
// clock, no goroutine and no lock: the dispatcher's loop owns it and tells it the time.
//
// A site (queue.Site) is where deliveries wait together. What is kept here is one small record per site, never one per
// delivery:
//
//	dues      when something becomes due there, a short sorted list
//	failures  how often in a row the site failed, since when, and when the next probe may go
//	running   how many workers are at it
//
// A site is in one of three queues, or in none while it may not start anything:
//
//	             Added, Kick                     Next
//	(unknown) ---------------> works  ---------------------> running
//	                             ^   Passed                     |
//	                             |<-----------------------------+
//	                             |                              | Failed
//	                           probes <-------------------------+
//	                             |  nothing waits any more
//	                             v
//	                           idle ---- forgotten after a while
//
// works holds the sites that work, probes those that failed at their last try. Both are ordered by when a site became
// ready, so nobody starves; a site that asks for another worker goes behind all that were ready before. A failing site
// gets one worker at a time, a probe, not before its retry time; and all probes together take at most half of the
// workers, so that ten thousand broken partners cannot hold up one that works. As soon as one connection to a site
// passes, its whole row of failures is forgotten and what waits there goes at once.
//
// Clocks jump. A jump forward makes things due. After a jump backward that the scheduler is told of (Back) all sites keep
// their pace. After one that nobody saw nothing waits longer than the longest retry step from then on: a site is then
// tried too early, which costs one empty claim.
//
// Ground room.
package schedule
