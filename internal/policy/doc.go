// Package policy judges whether a connection is good enough for a delivery: what the delivery demands (Requirement),
// what an attempt proved (Evidence), how demands of several origins add up (Combine), and what falls short (Verdict)
// and why (Reason). It is the heart of Postern.
//
// A Requirement is a set of independent demands, never one integer: channel strength, who the peer must prove to be,
// where the MX name must come from, revocation, the TLS floor. Combine is a join on every axis: commutative,
// associative, idempotent, and never weaker than an operand. Those four words are the laws in law_test.go. Level is
// only the short name people see.
//
//	plaintext      no TLS: nothing is proven
//	encrypted      TLS with whoever answered: protects from those who only listen
//	authenticated  TLS with a peer that proved a name we had reason to expect
//
// Ground room: facts in, decisions out. No clock, no network, no file, no log.
package policy
