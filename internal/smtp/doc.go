// Package smtp is the grammar of SMTP. The engine that receives (smtpserver) and the one that sends (smtpclient) share
// it: commands and their parameters, paths, replies, xtext, the coding of content with dots, and the facts of a TLS
// channel in the words mail people use.
//
//	ParseCommand      "MAIL FROM:<a@b.test> SIZE=9"  ->  VerbMAIL, "FROM:<a@b.test> SIZE=9"
//	ParseMail/Rcpt    the argument                   ->  envelope or recipient, or a Refusal with its code
//	Decoder           content between DATA and CRLF.CRLF, or in BDAT chunks, with what is wrong in it
//	Reply             250-first CRLF 250 second CRLF
//
// What a peer sends is hostile: the parsers never panic, bound what they keep, and accept only what the printers can
// print again.
//
// Ground room: no network, no clock, no file, no lock.
package smtp
