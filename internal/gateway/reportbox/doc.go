// Package reportbox takes in the TLSRPT reports that others send us (RFC 8460), by mail and by POST.
//
//	gateway/intake    a mail to an address of [tlsrpt] receive -> Box.Mail      box.go
//	gateway/publicweb a POST                                   -> Box.Post      box.go
//	Signature         whose DKIM signature a mail has (RFC 8460 §3)             signature.go
//
// A report is kept when it can be read and says something of a domain that we receive for, or of our own name. Whoever
// brought it hears that it is kept when it is durable, and not before. Any other mail to such an address is nobody's
// report: somebody's letter, one that is damaged, one about somebody else's domain. It is left to whoever asked, and
// goes on to the domain's server as ordinary mail, so that nothing is lost; a POST is refused with words.
//
// Of signatures those of RFC 6376 count, with one addition: a key may say that it is for reports alone (s=tlsrpt). A
// key that is marked as a test (t=y) signs nothing. Where a key cannot be looked up, nobody knows whether the
// mail is signed: the sender hears 451 and comes again. What an unsigned report is worth is said in history/tlsreports.
//
// Strangers cost no more than this: one report is read at a time, others wait some seconds and hear then that we are
// busy; five signatures of a mail are looked at, in ten seconds; a signer brings 500 reports a day, or ten for each
// domain of ours, a client without a signature 50; and what is kept has its room.
package reportbox
