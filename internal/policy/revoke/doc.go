// Package revoke asks OCSP responders and CRLs whether a certificate was revoked.
//
// For each certificate of a chain below the root these are asked, in this order, until one gives an answer:
//
//	staple   the OCSP answer the server sent in the handshake, for its own certificate (RFC 6066 §8)      answer.go
//	crl      the issuer's list at a distribution point of the certificate (RFC 5280 §5, §6.3)              crl.go, points.go
//	ocsp     the issuer's responder, asked over HTTP (RFC 6960)                                            ask.go
//
// The answer is good, revoked or unknown, with its source, its date and, when unknown, why. Unknown is never made good:
// what this package cannot judge (delta lists, indirect lists, lists of some reasons only) it says it cannot judge. An
// answer counts between its thisUpdate and its nextUpdate. A list past its nextUpdate no longer says that a certificate
// is good; but what it revoked for ever stays revoked, so that whoever blocks the next list gains nothing.
//
// A certificate that promises a stapled answer (RFC 7633 §4.3.3) and comes without one that counts is not valid on that
// connection; RevocationAnswer.Unstapled says so, and policy refuses it unless revocation is off. A certificate whose
// issuer says that it revokes nothing (RFC 9608), and a server's certificate that lives no more than seven days and
// names neither list nor responder, is good with the source "exempt": it runs out before a list would.
//
// Lists are kept on disk with their last good state, shared by everybody who asks, fetched once however many wait, and
// fetched again at three quarters of their life (Run). OCSP answers are kept in memory until they run out. Who asks
// waits only as long as its context; a fetch goes on without it, so that a slow list is there the next time.
//
// What lists take in memory, those that are held, being fetched, taken out of their armour and read from disk, is never
// more than Config.Memory (room.go). A list is let go of when others need its place, never while somebody looks at it;
// who needs a place that is not there waits for it as long as a fetch may take, and then nobody knows: the answer is
// unknown.
//
// Addresses in certificates are chosen by strangers. Only plain HTTP is spoken (these answers are signed, and TLS would
// need revocation in turn), without proxy, cookies or credentials; loopback, private and link-local addresses are
// dialled only where the configuration names their network; size, time and number of fetches are bounded.
package revoke
