// Package tlsprobe finds out what a server would speak that crypto/tls does not: SSL 3.0, finite-field Diffie-Hellman,
// anonymous and broken suites, curves, certificates that cannot be parsed. It is for diagnosis only; mail never depends
// on it.
//
//	Hello.Record   an offer -> the octets of a ClientHello     hello.go
//	Read           what the server answers -> Answer           answer.go
//	Glimpse        a certificate that does not parse -> what can be read of it    glimpse.go
//	Suites         every cipher suite up to TLS 1.2, and how each agrees on a key  suites.go
//
// Up to TLS 1.2 a server shows in the clear what it chose: version, suite, certificates, the parameters of its key
// exchange (RFC 5246 §7.3). Read stops there. The handshake is never finished, so there is no cryptography here,
// nothing is verified, and nothing that is read proves anything: whoever is on the way could have written it.
//
// Ground room. Everything read is hostile: it is bounded in octets, messages and certificates.
package tlsprobe
