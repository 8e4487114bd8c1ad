// Package certcheck examines the certificates a mail server presented. For each thing a requirement demands of the peer
// it says whether it is proven and, if not, everything that falls short.
//
// The handshake itself accepts any certificate; nothing is sent before Examine and policy.Verdict have spoken. One
// examination has three independent parts, and all of them are always made, so that an administrator sees every fault
// at once and not the next one after each repair:
//
//	chain   does a trusted root vouch for the certificate, today, for this use, with strong keys?  chain.go, fault.go
//	name    does the certificate speak for a name we had reason to expect (RFC 9525)?              name.go
//	pin     is one of the pinned keys among those the chain rests on?                              examine.go
//
// Anchored is the same examination of chain and name where a stranger names the roots (DANE).             anchored.go
//
// crypto/x509 decides whether a chain holds (RFC 5280 §6); a chain it refuses never passes here. What it lets pass and
// we do not (weak keys, odd key usages) is added, and why it refused is found out by a second, relaxed look: the
// library stops at the first fault and names it in a sentence, and we want all of them as reasons. The relaxed look
// only explains; it cannot make anything pass.
//
// Each fault has exactly one reason. The first shortfall is the one to act on: who vouches for the certificate comes
// before its dates, its dates before its strength and use, and names and pins last.
//
// Certificates are hostile input. At most MaxCertificates are examined, keys beyond 8192 bits are not computed with,
// certificates with more than a thousand names are not searched, and every text quoted is bounded and escaped.
//
// Ground room: roots and the present time are arguments; it never reads the system's roots or the clock.
package certcheck
