// Package balancer takes connections that come through a load balancer, which hides the address of the client and says
// it in front of the connection: the PROXY protocol (proxyheader reads it).
//
//	New        puts itself in front of a listener, before TLS and before anything of SMTP or HTTP
//	Accept     from a named network: with the client's address, once the header is there
//	           from anywhere else: as it is, and the header is not looked for
//
// Behind it every room asks a connection for its address and gets the client's: limits, relaying, log, trace and stamp
// need to know nothing. The header is as good as the network it comes from: whoever can open a connection from there
// can be any client, those of relay.networks too. A connection from there without a header is closed, for it would
// count as the balancer.
//
// A check of the balancer keeps its own address, where it says so (LOCAL, UNKNOWN). One that opens a connection and
// closes it without a word is told at debug level alone, and a balancer that is set up wrongly, whose every connection
// is refused, by a warning a minute.
//
// A header has a time to be there in and 4096 octets. As many connections as Waiting may wait for theirs, so a balancer
// that is stuck takes no more of the process; others are closed. SMTP needs a balancer that speaks first: one that
// holds its header back until the client's first octets (the network load balancer of AWS does, unless told otherwise)
// waits for the client, which waits for our greeting.
package balancer
