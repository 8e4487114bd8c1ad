// Package tlsreports keeps the reports about TLS that others send us (RFC 8460), and holds them against our own
// sessions.
//
//	Received   one report: who sent it, what it says in sums, which of our domains it is about     received.go
//	Book       keeps reports for 90 days, each once, within bounds                                 book.go, room.go
//	Failing    who could not reach us, since when, how often                                       failing.go
//	Join       what we saw of an address that somebody says failed                                 join.go
//
// # Whose word it is
//
// A report is a stranger's. What is known of its sender is the domain whose DKIM signature holds, the Signer, and
// nothing else: the organization, the contact and the submitter are claims. RFC 8460 §3 has reports ignored that came
// by mail without a signature that holds; a POST has none at all. Both are kept and shown here, since they may tell of
// a real fault, but as what anybody may have written: they stand apart, are never summed up with signed ones, write to
// no administrator, and have a room of their own, so that nobody can crowd out a report that is signed. A signature
// says that a domain let the mail out. Where people write mail of their own in that domain, one of them may have
// written the report.
//
// # Each once
//
// A report has the same identity when organization, report-id and start are the same. One that comes again, by whatever
// way, is counted as a copy and changes nothing. A report that nobody signed makes room for the same one with a
// signature, and never the other way round; reports of two signers under one identity are two reports, so that nobody
// can take an identity from its owner.
//
// # The join
//
// A failure names an address of the sender. It is looked for among the sessions that history/inbound remembers, in the
// span of the report and some minutes about it: clocks differ, and a day ends at 23:59:59 for some and at 00:00:00 of
// the next for others. Both tell only how often and when, so that nothing says which session is which: what is shown is
// all of what that client did then, with the kinds marked that such a failure leaves behind here. That nothing is
// remembered is one of two things, and they are told apart: the address never came, or it is not known, because the
// time lies too far back, the memory had no room, or the report has no time or address.
package tlsreports
