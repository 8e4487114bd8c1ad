// Package dane judges certificates by TLSA records.
//
// It says what the records of a mail host make of the certificates it presented (RFC 7672 §3, which rests on RFC 7671
// and RFC 6698). That the records are the host's, and that the answer was secure, is known before.
//
//	record   which records can be used, which count, how they are written     record.go
//	anchor   the roots that records of usage 2 name                           anchor.go
//	examine  does one of them match, and does what it vouches for hold?       examine.go
//	wrong    what people are told where none matches                          mismatch.go
//
// A record has three numbers. Usage 3 (DANE-EE) names the server's own certificate, usage 2 (DANE-TA) an issuer above
// it; 0 and 1 mean public CAs besides and cannot be used for mail. Selector 0 is the certificate, 1 its public key.
// Matching type 0 is the thing itself, 1 its SHA-256, 2 its SHA-512.
//
// One record that matches is enough, so that the old and the new can stand side by side while keys change. The
// strongest digest counts alone among those of its usage and selector (RFC 7671 §9): a domain that publishes SHA-512
// beside SHA-256 must keep both right.
//
// Usage 3 looks at the certificate alone: names, dates, uses, revocation and issuers say nothing (RFC 7672 §3.1.1).
// The domain's owner has signed this very key. Its strength is the owner's choice too, with one floor: an RSA key
// below 1024 bits can be computed by whoever likes, so that it proves nobody.
//
// Usage 2 is a chain as any other, by the rules of certcheck and with a name, except that the anchor is the root and
// no other root is trusted (RFC 7672 §3.1.2, §3.2.2). The server's own certificate is never the anchor: OpenSSL and
// what is built on it match records of usage 2 above the leaf alone, and so do we. Only a key (2 1 0) may vouch for it
// directly, by signing it. The dates of an anchor count even where OpenSSL overlooks them, below a root: whoever sees
// an issuer end must publish the next.
//
// Where nothing matches the reason is dane-mismatch, which the owner mends in DNS. Where the chain reaches an anchor
// and something in it or the name falls short, the reason is that of the certificate (cert-expired,
// cert-name-mismatch), which the owner mends at the server. Where no record can be used it is dane-unusable, and never
// "no records".
//
// Within the bounds another record takes no proof away, except a SHA-512 digest from a SHA-256 digest beside it; and
// the order of records, and of certificates above the leaf, makes no difference. Those are the laws in law_test.go.
//
// Records and certificates are a stranger's. MaxRecords, MaxAnchors and MaxData bound what is looked at: a record past
// them cannot be used, so that the host falls short rather than passes. Which are past them does not depend on the
// order of the answer. certcheck bounds the chain, and every text is bounded and escaped.
//
// Ground room: the present time is an argument.
package dane
