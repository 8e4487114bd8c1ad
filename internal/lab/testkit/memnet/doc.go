// Package memnet is a network in memory for tests: buffered connections, listeners and dialers that work inside a
// testing/synctest bubble, where real sockets and real deadlines do not.
//
// A Network maps addresses to listeners. Dialling an address nobody listens on is refused at once, dialling one that
// was declared a black hole hangs until the context ends, as on the Internet:
//
//	n := memnet.New()
//	l, err := n.Listen("192.0.2.1:25")
//	go serve(l)
//	nc, err := n.Dialer("198.51.100.7").DialContext(ctx, "tcp", "192.0.2.1:25")
//
// Pipe makes one connection without a network. Connections buffer up to Window octets each way, so a peer may write
// several commands before the other side reads; beyond it Write blocks, as TCP does when the peer stops reading.
// Test code only.
package memnet
