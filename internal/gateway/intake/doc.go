// Package intake decides what an SMTP client may do and turns what it sends into durable deliveries. It is the Session
// of smtpserver: the engine speaks, intake answers.
//
//	MAIL   what the client may do is found out, by the configuration in force at this moment: networks, users and their
//	       passwords, client certificates and the CAs that issue them, bindings; any sender, the null sender too
//	RCPT   a served domain, or anywhere for a client that may relay, still: from a relay network, with a verified
//	       certificate, or logged in; everybody else hears 550 5.7.1;
//	       a recipient in a served domain must exist, as far as anybody can tell (gateway/recipients); an address for
//	       reports about TLS is always taken, and reports end here (reports.go)
//	DATA   stamp (Received line), then the content, streamed to a draft; its header section is kept to judge it:
//	       size, hops, rules
//	"."    the rules are evaluated once for all recipients; each becomes a delivery with its requirement, window and
//	       next hop; Store.Accept makes them durable; only then 250
//
// What rules do beside demanding (effects.go) is done here, once: whole messages are refused, deliveries are born held,
// rejected, redirected or with fields above their header, and copies are added, all in the same Store.Accept.
//
// It fails safe: rules that cannot be evaluated are 451 4.3.0, a store without room is 452 4.3.1, and nothing of a
// message stays behind that was not accepted.
package intake
