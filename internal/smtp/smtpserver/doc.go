// Package smtpserver is the receiving engine. It speaks ESMTP (RFC 5321) over a net.Conn and asks a Session what to
// answer. It knows no policy: who may send, which recipients exist and what becomes of the content is the Session's.
//
//	Server.Serve   accept, count connections, one goroutine each
//	conn.serve     greeting, then command after command: hello, starttls, auth, mail, rcpt, data or bdat
//	Content        what the Session reads: CRLF lines, dots removed, io.EOF at the true end
//	Shutdown       421 to those who are idle, waits for transactions
//
// Extensions: PIPELINING, SIZE, 8BITMIME, SMTPUTF8, CHUNKING, ENHANCEDSTATUSCODES, DSN, STARTTLS, and AUTH PLAIN LOGIN
// inside TLS only.
//
// Replies are written when the peer's input is used up, so a pipelining peer gets them in one segment. Nothing that
// was received before a TLS handshake survives it: not a buffered octet, not a name, not a transaction. A session is
// one goroutine; an idle one holds some 4 KiB of buffers of ours beside its TLS state.
package smtpserver
