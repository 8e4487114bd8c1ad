// Package resolver is a client of recursive DNS servers, ours or the system's, and a dns.Resolver.
//
// One question goes this way:
//
//	Addrs, MX, ...   the method                                        resolver.go
//	follow           the chain of CNAMEs, over several replies         chain.go
//	ask              the cache; callers with the same question share   cache.go, flight.go
//	rounds           servers in order of health, again with more time  servers.go
//	try              one server: UDP, and TCP when that is cut short   try.go, oddity.go
//	transport        one datagram or one stream                        transport.go
//
// Defence against forged answers (RFC 5452): every try has its own socket and so its own port, a random ID, and a name
// in random capitals that the reply must repeat; replies that do not fit are passed over and the wait goes on. None of
// this makes an answer trusted: Secure is set from the AD bit, and only when the server is on the loopback or the
// administrator said that the way to it is safe (RFC 4035 §4.9.3), because on any other path the bit is a stranger's
// claim. Where one server is trusted so, the others are not asked at all, whatever becomes of it: whoever can hold up
// its answers of one name would otherwise have an unsigned answer taken in their place, and no host of that name would
// demand DANE any more.
//
// A server may have oddities (oddity.go). Where one of them takes a defence away there is another in its place, or an
// error that names it; none is given up for convenience.
//
// Every reply is classified into the Kinds of package dns. "I could not find out" never becomes "there is none".
package resolver
