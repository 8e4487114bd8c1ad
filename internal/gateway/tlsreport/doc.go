// Package tlsreport sends TLSRPT reports to the domains that ask for them (RFC 8460 §3, §5).
//
//	tlscounts.Book -> Sender: when a day is over, domain by domain -> _smtp._tls.DOMAIN -> mailboxes and web servers
//
// Each domain has its moment within some hours after the end of the UTC day, always the same, so that not all of the
// world writes at midnight. Then its record is asked for. Without one nothing is sent, which is written down. Otherwise
// the report goes to every destination that the record names: to a mailbox as mail of ours through the queue, signed
// with DKIM, which sets aside what the destination's domain publishes and is in no report itself; to a web server by
// POST, over a connection whose certificate counts and to no private network (webclient).
//
// What fails is tried again for a day since the first try (RFC 8460 §5.5), then it is warned of. How far a report came
// stands in the store, destination by destination, and its identifier is made of the day and the domain. So a process
// that dies loses no report, and where it dies between sending and writing that down, one destination gets the same
// report twice, which it can tell by the identifier. A mail is sent when the queue has it, which keeps it a day; what
// becomes of it stands in its trace.
package tlsreport
