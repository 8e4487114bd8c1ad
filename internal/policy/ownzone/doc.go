// Package ownzone says what the zones of our own domains should hold, and what is wrong with what they hold.
//
// Others send to us by what DNS and the policy host say. Each of these is kept by somebody else, at another place, and
// they drift: a certificate gets a new key and its TLSA record stays, a mail host is added and the policy does not name
// it, the policy changes and its id does not. Nothing fails here then. Mail from others stops, often days later, when
// what they remember runs out.
//
//	Own.Records    the records that should be there, made of the configuration alone      records.go
//	Judge          facts in, findings out                                                 judge.go
//	mail hosts     MX records, their addresses, the policy they must be named in          hosts.go
//	MTA-STS        the record, the policy host, the policy it serves (RFC 8461)           policy.go
//	TLSRPT         the record that asks others for reports (RFC 8460)                      reports.go
//	DANE           TLSA records against present and next keys (RFC 7672)                  tlsa.go
//
// A finding has a code that stays for ever, and one of three levels. Wrong means that mail is refused, put off or
// unprotected, now or at the next change. A Warning is worth a look. Unknown means that nobody could tell, which is
// never the same as good: DNS did not answer, or nobody's word is believed that an answer is signed.
//
// Which hosts are ours: the hostname, every name that one of our certificates carries, and what a policy of ours names
// and a certificate of ours covers. A certificate with a wildcard alone claims nothing, for others below the same
// domain may be other servers.
//
// A TLSA record of usage 3 that matches neither a present key nor a next one is a leftover, and harmless while another
// matches. One of usage 2 is left alone then: many list the issuers that a later certificate may come from. A record
// over the whole certificate (3 0 x) is warned of, since it ends with the next renewal.
//
// Nothing here speaks to the mail hosts. `postern check` does, and so do the senders.
//
// Ground room: roots and the present time are arguments. What DNS and others said is bounded and escaped.
package ownzone
