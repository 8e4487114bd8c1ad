// Package nodes keeps the gateways of one store together. It says who of them is alive, what each may do, how a change
// of the rules comes in force at all of them, and who may try a server that fails.
//
// A gateway has a lease on itself. It renews it every third of it, over a connection of its own, and with each renewal
// says what it judges mail by and hears what is newest.
//
//	joining --> live --> doubtful --> gone
//	              ^         |           |
//	              +---------+-----------+   a renewal succeeds
//
//	state     since its last renewal began     what it may do
//	live      at most half the lease           everything
//	doubtful  less than the lease              nothing: mail is answered 451, nothing is sent, and what runs ends before
//	                                           the next message
//	gone      more                             nothing, and others take its work over
//
// # Time
//
// Nobody is told what another's clock says. The store reckons by its own clock alone until when a lease runs. A gateway
// measures how long ago its last renewal that succeeded began, by the monotonic clock, which does not stand still while
// a process is stopped, and by the wall clock, which does not stand still while a machine is suspended; the longer of
// the two counts. It asks that before each thing it does and never waits to be told by a timer. So a gateway that was
// frozen knows when it wakes that its lease is over, and one whose clock is wrong by an hour keeps its lease all the
// same. Times of mail are turned where they go into the store (storeclock). That the clocks differ is told (Off), and a
// gateway whose clock differs by more than a day is doubtful until it is set right.
//
// The renewal began before the store took it, so the gateway stops at half of a lease that ends later still by the
// store's clock. What it had begun when it froze is refused by the store: a settlement by the lease of the delivery, an
// acceptance because the store asks for the lease of the gateway within the transaction (see Registry). A lease that
// has ended is not prolonged but begun anew, and not before everything of the old one has come to its end: otherwise
// what was judged before might be accepted under the new one.
//
// # Rules that hold everywhere when apply returns
//
// A Mark names what mail is judged by: the revision of the rules and the number of inforce. Whoever changes the rules
// stores them, raises the mark, and waits (Agree) until no gateway is left of which the store says that its lease runs
// and that it has not acknowledged the mark. A gateway that hears of a higher mark judges nothing more until it has
// read what is newest. It acknowledges only when every message that it began to judge before has been accepted or
// refused (Begin), so that none which is accepted after Agree returned was judged by what was in force before.
//
// Where the bound of the wait comes first, Agree says where the change does not hold yet. It still comes in force
// there, or that gateway is gone.
//
// # Failing sites
//
// Of a site that works nothing is shared: no message costs a write. Of one that fails there is one record, a Turn,
// which says until when nobody may probe it, or who is probing it now. Probe takes it, Failed lets it rest, Passed
// removes it, and all who know the site as failing ask every second which of the records are gone.
//
// A gateway that stands alone has a Node without a Registry. It is always live, waits for nobody, and costs nothing.
package nodes
