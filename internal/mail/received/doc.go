// Package received reads the Received lines of a message backwards in time: which hosts it passed, how long each step
// took, and what each line says about encryption.
//
// A Received line is a note that a server writes on top of what it accepts (RFC 5321 §4.4). The newest line stands
// first, so the header read from below is the way of the message:
//
//	Received: from b by c   <- hop 3, written last, by the server that handed you the message
//	Received: from a by b   <- hop 2
//	Received: from you by a <- hop 1, written first
//
// Every server has a form of its own, and the part that matters here, the TLS session, was never standardised beyond
// the keyword after "with" (RFC 3848: the S in ESMTPS) and a "tls" clause that few write (RFC 8314 §4.3). Parse knows
// the forms in the field and reports which one it saw. The law of what it says of a line: a session that is written out
// is believed, also beside a keyword without S, which many writers never learned; a line that speaks of TLS in any
// place of its writer's is never said to be plain; a line that contradicts itself says nothing; and words of the peer's
// make no line encrypted.
//
// None of it is signed. A line is worth what its writer is worth, and the writer of the lines below the first server
// one trusts is whoever sent the message to it. Trace therefore asks whom one trusts (Trust) and follows the lines from
// the newest down, only as long as the trusted line above names a trusted peer as the one that brought the message.
// What a line outside that stretch says is a claim.
//
// The steps: Extract finds the lines in a message, a header block or a paste; Parse reads one; Trace puts them in
// order, measures and judges.
//
// Ground room: no clock, no network, no file. All work is linear in what it is given, and what it is given is bounded.
package received
