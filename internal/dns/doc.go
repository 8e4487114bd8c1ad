// Package dns is the port through which the gateway asks the domain name system: Resolver, and answers that carry what
// TLS policy needs to know, whether the answer was validated (Secure) and how long it may be believed (TTL).
//
// Three outcomes look alike to a careless caller and are kept apart here, because mail treats each differently:
//
//	the name does not exist      *Error with Kind NXDomain    permanent for the delivery
//	the name has no such record  an empty answer, no error    next step of RFC 5321 §5.1
//	nobody could tell            *Error with another Kind     temporary, and never "no"
//
// The backs are dns/resolver, a client of configured servers, and testkit/zone, a zone in memory.
package dns
