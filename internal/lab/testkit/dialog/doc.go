// Package dialog plays SMTP sessions written as the RFCs print them against the code under test, best over memnet in a
// testing/synctest bubble, where five minutes of waiting take no time.
//
// One txtar file is one scenario. Its comment says what must hold and why; the section "dialog" is played, the others
// belong to the test:
//
//	An idle client is dropped after five minutes (RFC 5321 §4.5.3.2.7).
//	-- dialog --
//	S: 220 *
//	(wait 5m1s)
//	S: 421 4.4.2 *
//	(eof)
//
// Lines of the dialog:
//
//	C: text           the client's line; S: text, the server's. The side played sends its lines, ended by CRLF, and
//	                  expects the other's; "*" in an expected line stands for anything. Lines sent in a row go in
//	                  one write.
//	(raw "a\r\n")     send these octets, written as a Go string
//	(fill 1000 "x")   send a string so many times
//	(repeat 100)      do the next line so many times
//	(wait 4m)         let time pass
//	(quiet 4m)        nothing may arrive for so long
//	(tls)             handshake; (tls fails), the handshake must fail
//	(eof)             the other side has closed
//	(half)            end our direction, read on
//	(cut)             reset the connection
//	# text            a remark
//
// Test code only.
package dialog
