// Package proxyheader reads what a load balancer says in front of a connection: the header of the PROXY protocol, of
// version 1 (a line of text) or 2 (octets), as HAProxy's proxy-protocol.txt defines them.
//
//	Parse    the first octets of a connection -> who the client is, how long the header was     header.go
//	         version 1                                                                          line.go
//	         version 2, its values and its checksum                                             octets.go
//
// It is a parser of our own and not a library. What is read here decides who may relay and stands in front of every
// octet of SMTP, and the libraries there are do more than that: they wrap listeners, read on demand inside RemoteAddr,
// and let through what this gateway must refuse.
//
// Whoever may say such a header may be anybody, so the caller asks only those it was told to believe. The law:
//
//	a client by TCP            its address counts; an IPv4 one in IPv6 clothes is IPv4
//	LOCAL, UNKNOWN, no family  the balancer speaks for itself, or does not know: the connection's own addresses count
//	                           (proxy-protocol.txt §2.1, §2.2), and what else the header says is passed over unread
//	UNIX socket, datagrams     refused: no client of mail comes that way
//	0.0.0.0 or ::              refused: it is nobody's address
//	TCP4 with IPv6 inside      refused; TCP6 with IPv4 inside is read, because nginx writes it where client and server
//	                           are of different families
//	a checksum (CRC32c)        must be right where there is one
//	all other values           are passed over. That one says the client used TLS is not believed: it proves nothing of
//	                           this connection, and is not even looked at
//
// Numbers with leading zeros, zones, other spaces than one, a line end without CR and lower case are refused, as the
// text demands. A header of version 2 may have 4096 octets, several times what its values need; one that announces more
// is refused at once.
//
// Ground room. Everything read is hostile: it is bounded, and quoted in errors.
package proxyheader
