// Package deliver opens the connection that may carry a delivery, the best TLS first and plaintext last, and sends
// messages over it. Over one Plan and under one Requirement it climbs the ladder.
//
// The ladder of a requirement is a list of goals, highest first. Each goal is tried at every host of the plan before
// the next lower one is tried at any (design.md §2):
//
//	requirement                        goals
//	authenticated (forced)             authenticated
//	encrypted                          encrypted
//	none, aim authenticated            authenticated, encrypted, plaintext
//	none                               encrypted, plaintext
//
// At one host TLS itself has rungs, each on a new connection because a failed handshake kills the old one: modern (what
// crypto/tls offers), classical (no post-quantum group, so that the ClientHello fits one segment), legacy (TLS 1.0,
// RSA key exchange, only where the requirement allows it and the configuration has not turned it off).
//
// A connection that works but falls short of the goal is parked and serves a lower goal later. Network failures and
// refused greetings make a host unusable now; they are not failures of TLS and never step down the ladder.
//
// A hop may demand something itself, for its host or the recipient's domain publishes it. What a connection there must
// pass is the join of both, at every goal: ordinary mail to such a hop has no rung below what is published, and a hop
// that falls short is passed over. What the delivery demands stays the same at the next hop, what the last one demanded
// does not.
//
// REQUIRETLS (RFC 8689) is one more thing that a connection must pass: the peer offers it inside TLS, so it is judged
// only after the second EHLO. Where nothing else falls short at any host, trying again makes no difference
// (Climbed.Unpromised).
//
// A plan that sets aside what is published (route.Plan.Waived) is climbed as if hops demanded nothing. The channel
// knows it and refuses every message that does not waive it, whatever their requirements are.
//
// The invariant of design.md §3 rests on one place: a Channel is made only by ladder.accept, which holds the verdict
// of the very requirement at hand against the evidence of the very connection; Channel.Send judges again before each
// message.
package deliver
