// Package smtpclient is the sending engine. It speaks SMTP (RFC 5321) over a connection it is given and knows no
// policy.
//
// The six steps of a delivery and their functions:
//
//	Greet     read the 220                                        RFC 5321 §3.1
//	Hello     EHLO, which tells the peer's extensions             RFC 5321 §3.2
//	StartTLS  STARTTLS, the handshake, and everything forgotten   RFC 3207 §4
//	Hello     EHLO again, inside TLS
//	Send      MAIL, RCPT, and DATA or BDAT                        RFC 5321 §3.3, RFC 2920, RFC 3030
//	Quit      QUIT                                                RFC 5321 §3.8
//
// StartTLS collects facts only: the caller examines them before it calls Send, so that nothing of a message crosses a
// connection that has not passed. Send puts as much as the peer allows into one write: with PIPELINING the sender and
// all recipients, with CHUNKING a small message too, which then costs one round trip. DATA waits for the recipients.
//
// Two things are no refusal of a message: what is refused of the words we chose (plainer.go) is said again without
// them, at once; and what a used connection refuses at its end (worn.go) may be said on another, at once.
//
// What a peer says is hostile. Replies are bounded in line length, lines, octets and total time; a reply that breaks
// the grammar ends the connection with an Error; its text is shown only through smtp.Printable.
//
// Every call honours its context, cancellation included, and the time limits of RFC 5321 §4.5.3.2. A Conn is used by
// one goroutine at a time.
package smtpclient
