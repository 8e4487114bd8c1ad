// Package storeclock lets gateways whose clocks differ keep mail in one store. All that is stored of mail goes by the
// clock of the store: when something is due, when its window ends, until when a site rests, when a lease ends, when
// anything happened. A gateway reckons by its own clock, and its times are turned into the store's, and back, in one
// place: here, where they go in and come out. So mail goes and is given up when its time has come, whichever gateway
// accepted it and whichever looks.
//
//	in   time of the store = time of this machine - Ahead
//	out  time of this machine = time of the store + Ahead
//
// Clock finds Ahead out from what the store's clock said each time it was asked. While the two agree to half a second
// it is 0, and nothing is turned or costs anything. Otherwise it stays as it is until it is wrong by more than that and
// by more than the answer was uncertain, so that the same time read twice is the same. Times of the store are exact to
// that half second, which is little beside any wait.
//
// A jump of this machine's clock shows at once, for what has passed since the last answer is told by the monotonic
// clock. A jump of the store's clock moves all that is stored by as much, as on a single machine.
//
// What is not mail (package records: sessions, policies, sums) keeps the times of the gateway that wrote it, and so do
// the texts of messages. Dates that others chose, such as those of certificates, are nobody's clock and never turned.
package storeclock
