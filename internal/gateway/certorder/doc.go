// Package certorder orders the gateway's own certificate from a CA (ACME, RFC 8555). It keeps it in the store and
// renews it.
//
//	Keeper      what is served now, and the loop that renews it      keeper.go
//	book        what is kept: account, key, chain, lease, answers    book.go
//	due         when it is time, as arithmetic                       due.go
//	authority   the CA: one order from beginning to end              authority.go
//	window      what the CA itself says about the time (RFC 9773)    window.go
//
// # The key stays
//
// There is one certificate, for all names, and one key, which is made before the first order and kept over every
// renewal: TLSA records stay true. It is there from the first start on, under a certificate that the gateway has signed
// itself, so that mail is taken before the CA has ever answered and TLSA records can be published at once. Another key
// comes by Config.Key alone: the old chain is served with the old key until the CA has certified the new one.
//
// # What fails does no harm
//
// Whatever the CA does, what was served before is served on. A name that the CA does not find at this gateway is left
// out and tried again a day later, unless it is the first one, the gateway's own: the mistake of one customer's zone
// must not cost all others their certificate. After a failure the pause doubles, from five minutes to six hours, and
// what the CA asks for (Retry-After, RFC 8555 §6.6) is kept to; failures outlive a restart, so that a gateway that is
// started again and again asks no more often. In the last three days of a certificate the pause is an hour at most.
//
// Renewal begins when two thirds of the life are over, or when the CA says so (RFC 9773), each certificate at a moment
// of its own so that not all gateways come at once.
//
// # Several gateways
//
// All that is known is in the store (platform/records): gateways that share it share account, key and certificate. Who
// orders holds a lease, which ends by itself, and looks again what there is when he has it; the others find the new
// certificate there. The CA may come to any of them, and each finds the answers to its challenges in the store.
//
// Keys are kept as the store keeps everything: readable by the gateway's user alone.
package certorder
