// Package zone is a DNS server on the loopback for the demo and for tests: a few names in a text, served over UDP and
// TCP on one free port, with the failures that the world has.
//
//	; a comment
//	clinic.test       MX 10 mx1.clinic.test       ; names are absolute, with or without the final dot
//	clinic.test    60 MX 20 mx2.clinic.test       ; a TTL; without one it is 0, so that changes are seen at once
//	mx1.clinic.test   A 127.0.0.2
//	!mx2.clinic.test  A 127.0.0.3                 ; "!": answered without the AD bit
//	*.wild.test       A 127.0.0.4
//	broken.test       servfail                    ; a failure for every type asked of this name
//	half.test         AAAA timeout                ; or for one type; other types have their records
//	half.test         A 127.0.0.5
//
// The failures are servfail, bogus (SERVFAIL with the extended error that says so), refused, notimp, timeout (silence),
// nxdomain, truncated (TC over UDP, the records over TCP), cut (TC over UDP, and TCP closes without a word), and
// garbage (a packet that is no DNS).
//
// A name is there when it has a record or something below it has one; any other name does not exist.
package zone
