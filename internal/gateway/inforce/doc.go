// Package inforce is the rules, own domains, routes, bindings of clients and the files they name as they are in force
// at a moment, in one value. Who judges mail takes one View and uses it to the end, so that no message is ever judged
// by the rules of one moment and the domains of another.
//
// The law (design.md §3): what waits is judged by what is in force when it is sent.
//
// A View has a number. It grows whenever any part differs from what it was given for, also when equal rules are applied
// again, and is on stable storage before anything is judged under it. What was judged under a lower number is judged
// again before a byte of it is sent, whether the change came with a command, a reload or a restart. Where nothing
// differs the number stays, so that a restart over a million waiting deliveries has nothing to judge. While the number
// cannot be stored, or the rules cannot be read, a View has an error: mail is answered 451, and nothing is sent.
//
// A delivery keeps its demands by source. Judged again, a source that still demands something replaces who the peer
// must be (trust, names, pins, whose memory of mail hosts counts). What would be less (a source that no longer demands
// anything, a lower channel, floor, revocation or mx, pins that are gone, names that DNS may choose) stays, until an
// administrator says that waiting mail may have less. policy.Renew is that law; Weigh says what it comes to, and
// whether a delivery holds more than is in force. Exact is what is in force alone, for an administrator who said so.
//
//   - A rule that has expired, is under test, disabled or removed, or no longer matches, no longer demands: its waiting
//     mail keeps what it has. A rule under another name with the same content takes the place of the old one.
//   - A recipient whom a ticked box now leaves unforced keeps its level, and follows the rule in who the peer must be.
//   - A domain that leaves the own domains is judged by the rules from then on, and one that becomes ours is not; what
//     the way it left behind demanded stays.
//   - What the sender of a message demands (REQUIRETLS) is never out of force.
//   - A notice inherits by source too, and what it inherited is reckoned anew from the source now in force.
//   - What has begun is not broken off: content that is on its way goes to its end, as long as this gateway may send.
package inforce
