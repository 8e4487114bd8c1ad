// Package publicweb is the web listener for strangers: HTTPS at port 443, and nothing of the console.
//
//	https://mta-sts.DOMAIN/.well-known/mta-sts.txt    the MTA-STS policy of a domain of ours (RFC 8461 §3.3)
//	POST https://ANY NAME OF OURS/tlsrpt              a report about TLS (RFC 8460 §3), where they are taken
//	https://HOSTNAME/                                 our certificates, their roots and what will change, for partners
//	https://HOSTNAME/certificates.txt, .pem           the same as text, and as certificates
//	.../.well-known/acme-challenge/TOKEN              what a CA is to find here (RFC 8555 §8.3), at any name
//
// A handshake that asks for acme-tls/1 alone is a CA's (RFC 8737): it gets the certificate for its challenge, or none.
// A Plain server speaks HTTP, at port 80, and serves the answers to challenges alone.
//
// Everything else is 404 with an empty page, whatever the method. There is no redirect, no cookie, nothing about caches
// (the policy's own max_age is what counts) and nothing that says what the server is. The name in the request decides,
// and not the one in the TLS handshake, since HTTP/2 uses one connection for several names.
//
// Who asks is a mail server, for one small text, and is done within a second. So the bounds are tight, and no client
// can cost more than they say:
//
//	connections    128 in all: when one more comes, the oldest is closed, so that newcomers always get in
//	one client     16 (IPv6: one /64 network); more are closed at once
//	a minute       is the whole life of a connection, whatever it does
//	96 KiB         is all that a connection may bring, which bounds every flood of small frames
//	10 seconds     for a handshake with the request's header, for the whole request and the answer; 15 of doing nothing
//	8 KiB          of header; 16 streams of HTTP/2
//
// A report is the one thing that strangers may bring, in bounds of its own: 10 MiB, of those above 64 KiB two at a time
// (others hear 503) with 40 seconds within the connection's minute, and one of each size for a connection. The answer
// is 201 when it is kept durably, 200 when it was there already, 400 with words when it is none or not about us, 413,
// 429 or
// 503. It needs no media type: senders write what they like.
//
// TLS is version 1.2 or later, with the gateway's own certificates, chosen by SNI and read again when their files
// change. What is served is asked for at each request, so that a reload needs no word here.
//
// Another page is a case in page (page.go).
package publicweb
