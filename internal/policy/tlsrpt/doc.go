// Package tlsrpt reads and writes what senders report about TLS (RFC 8460): how many sessions with a domain's mail
// hosts succeeded in a day, how many failed, and why.
//
//	Record        what _smtp._tls.DOMAIN says: who wants reports, and where     record.go
//	Report        one document, as data                                       tlsrpt.go
//	Report.JSON   the document in its form (RFC 8460 §4.4)                    write.go
//	Parse         such a document, from anybody                               parse.go, read.go, value.go
//	Message       the mail that carries one (RFC 8460 §5.3), not signed       compose.go
//	FromMail      the document in a mail that came in                         frommail.go
//	Result        what a failure of ours is called (RFC 8460 §4.3)            result.go
//
// A record is nothing that protects: whoever reads it wrongly sends a report too few or too many. So of its
// destinations one that is bad is passed over and the others are kept. Two records are none, and the version has one
// spelling, for that is how others read it (RFC 8460 §3); a domain that would get reports of us alone believes that
// all is well.
//
// Documents that come in are read as they were meant. Large senders leave out fields, write null or an empty text,
// give times without a zone, numbers as texts, one text where a list should be or a list inside a text, names with
// other hyphens; some send gzip under any media type. None of that makes a report useless. What is odd is told of in
// Oddities, what is missing stays empty: a time that cannot be read is no time, and not the present one. A report
// that is cut off, or larger than the bounds, is refused as a whole, since its sums would be wrong without a sign of
// it.
//
// Whatever comes in is a stranger's word. Texts are bounded and escaped, numbers too, and nothing says that the
// organization is the one that it claims to be: that is the signature's business.
//
// A report says for each failure one of eleven results, and most senders say the same one for half of them. The
// result is made finer by the failure-reason-code: ours is always the policy.Reason.
//
// Ground room. net/netip and net/url are for values alone.
package tlsrpt
