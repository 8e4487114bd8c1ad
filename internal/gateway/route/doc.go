// Package route answers where mail for a domain goes. The answer is a Plan of hops with addresses that have been
// judged; whoever dials, dials those and asks no resolver again, so that an address that flips between look-up and dial
// (TTL 0) cannot lead anywhere that was not judged.
//
// The way to a plan, first match first:
//
//	own domain with deliver_to       the hosts named there
//	route: exact, longest *., "*"    the hosts named there
//	address literal [192.0.2.1]      that address
//	MX records (RFC 5321 §5.1)       in order of preference, equal ones shuffled
//	no MX record                     the domain itself (the implicit MX)
//
// What DNS can say, and what becomes of the delivery:
//
//	the domain does not exist                   dns-nxdomain        fails at once
//	null MX (RFC 7505)                          dns-null-mx         fails at once
//	only ourselves, or worse than ourselves     mx-loop             fails at once
//	neither MX nor any address                  dns-no-address      fails at once: nobody takes mail there
//	MX hosts, and none has an address           dns-no-address      waits, even if none of the names exists: the domain
//	                                                                says it takes mail, and such slips get repaired
//	only addresses of denied networks           mx-private-address  waits
//	SERVFAIL, REFUSED, no answer, bogus         dns-servfail, dns-timeout, dnssec-bogus   waits
//
// Whoever forges an answer could have mail returned at once. So what fails at once by an answer that nobody signed is
// final for ordinary mail only (Problem.Final); forced mail waits until the answer has stood for a while, which
// dispatch times, and so does all mail of a domain whose enforced MTA-STS policy is kept. A
// chain of aliases that loops or has no usable end is no answer, and waits as SERVFAIL does.
//
// One bad host never decides for the others: it stays in the plan as a hop with a Problem, and the others are tried.
// Where all are bad, the problem that tells most is that of the plan, in whatever order the hosts stand
// (nothingUsable).
//
// An MX name that is an alias is followed (RFC 5321 §5.1 forbids it, the field has it). Host stays the name in the MX
// record: that is the name asked for, and the one the certificate must bear. An MX that is an IP address or localhost
// is used if its address is allowed, without a name to verify.
//
// Hosts that an administrator named are looked up in the hosts file first, as everything else on the machine does, and
// then in DNS as they stand (no search list). They owe nothing to MX, so denied networks do not apply to them.
//
// What a host or a domain publishes for senders belongs to the hop (design.md §10). TLSA records are asked for where
// DNS vouches for a host's addresses, of hosts that an administrator named too:
//
//	host                                             what a channel to it must pass besides
//	addresses not signed, or signed and no records   nothing
//	usable records                                   one of them proves the peer
//	records, and none that is usable                 TLS
//	records could not be looked up                   the host is passed over: it may demand what nobody knows
//
// An MTA-STS policy of the recipient domain speaks of the hosts that MX records name (RFC 8461):
//
//	no policy, or of mode none                   nothing
//	enforced, and it names the host              a certificate of the public trust for the host's name
//	enforced, and it does not                    the host is passed over: sts-mx-mismatch
//	enforced, and DNS vouches for usable TLSA records of the host and for the MX record     these alone
//	testing                                      nothing; what would fall short is recorded
//	announced, or nobody knows, and not to be had    nothing; that is recorded
//	the store does not answer                    the delivery waits: policy-unavailable
//
// For a message that sets all that aside (Table.Waived, RFC 8689 §3) the same is asked for, nothing of it is demanded,
// and no host is passed over for it. What it proves still counts for rules.
//
// What was found is asked for again after its time to live, and a plan is never older than five minutes.
package route
