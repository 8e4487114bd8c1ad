// Package schedule decides which site may start a worker, and when. It knows sites by name and times by value; it has
// no clock, no goroutine and no lock: the dispatcher's loop owns it and tells it the time.
//
// A site (queue.Site) is where deliveries wait together. What is kept here is one small record per site, never one per
// delivery: when something becomes due there (a short sorted list), how often in a row it failed and when the next
// probe may go, when it last took mail, and who waits there.
//
//	             Added, Kick          due             Next
//	(unknown) ---------------> timers -----> ready ---------> running ---+
//	                             ^             ^                |        |
//	                             |             |   Enter: full  |        | Done
//	                             |           waits <------------+        |
//	                             +---------------------------------------+
//	                             |  nothing waits any more
//	                             v
//	                           idle ---- forgotten after a while
//
// A failing site gets one worker at a time, a probe, not before its retry time. As soon as one connection to a site
// passes, its whole row of failures is forgotten and what waits there goes at once.
//
// A worker that lingers at a site with an open channel is there for what becomes due: where no other worker may start
// it is roused, so that no mail waits beside a channel that could take it.
//
// # Several gateways
//
// A site has PerSite workers at most, of all gateways that share a queue together. Each of n gateways has its part of
// them, fixed while n is: PerSite/n, and one more at PerSite%n of the gateways, others at each site. So the parts come
// to PerSite, no message costs a word between gateways, and a gateway never has more because another has nothing to do
// there. Where PerSite is less than n each gateway has one: with none, what it was told of would wait until another
// looks for what is overlooked. When gateways come and go the others learn of it with their next renewal (package
// nodes), and a worker that is too many ends before it claims more; until then there may be more.
//
// # Places
//
// A worker holds a place, from Next until Done: while it asks DNS, connects, sends, and lingers. There are Total of
// them, and a stranger decides how long one is held: by DNS that is silent, an address that swallows packets, a server
// that hangs. So places are in parts, and the law is that what is slow holds up nothing but what is slow:
//
//	part       whose sites                                            at least     at most
//	own        our own servers                                        Own/2        Total
//	ownSlow    our own servers that fail or are slow                  Own/2        Own/2
//	works      others' that took mail lately                          Total/5      Total
//	tries      others' that did not, and wait with mail               Unproven/4   Unproven
//	slow       others' that fail, or are slow                         Unproven/10  Unproven/2
//	reports    others' that did not, and only reports wait there      Unproven/20  Reports
//	overtime   slow ones that only wait for the answer to a message   (beyond Total) Overtime
//
// Tries, slow and reports together are at most Unproven. What a part has at least is kept free for it while it does not
// use it, as far as the bounds leave room for it; all else is taken by whoever needs it first.
//
// Within a part sites wait in lanes, one for each submitter, and the lanes take turns, so that five hundred dead
// domains of one message do not stand before another's. Everywhere but with our own servers a lane may besides hold no
// more places than are left free: the next submitter finds one at once, even where none is given back.
//
// Slow. A place is held quickly for SlowAfter at most, counted from its start, from the end of its last message, and
// from each piece of content that the peer took fast enough. After that it is slow. It moves to the slow part (or to
// overtime, once the whole message was sent: what the peer may have taken is never cut off, RFC 5321 §4.5.3.2.6), and
// its site waits there too until a message goes quickly again. Where that part is full it stays where it is, and as
// soon as another site needs the place Evict names it; what it was doing then counts as a failure, and its site has as
// much time as it wants when it is probed. Reports never leave their part.
//
// Families. Many sites may be one host: the same address, the same name, the same next hop under several requirements.
// A worker that dials enters the family of what it dials. A family holds at most Family places outside of works, and
// within it no more than Family or what is left free. A worker that is refused gives back what it has; its site waits
// with the family, holds no place, and is woken when one of the family's becomes free.
//
// Lately is for how long a success counts. It is counted only for mail, not for reports: whoever forges a sender
// chooses where a report goes. The sites that took mail lately are kept in memory without mail, at most Remembered of
// them.
//
// # Clocks
//
// Clocks jump. A jump forward makes things due. After a jump backward that the scheduler is told of (Back) all sites
// keep their pace. After one that nobody saw nothing waits longer than the longest retry step from then on: a site is
// then tried too early, which costs one empty claim.
//
// Ground room.
package schedule
