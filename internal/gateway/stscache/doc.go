// Package stscache knows which MTA-STS policy of a domain is in force. It asks for the record, fetches the policy over
// HTTPS, keeps it in the store and refreshes it ahead of its end (RFC 8461). What a policy means is said in policy/sts.
//
//	Cache.Policy   what is in force, before mail goes              cache.go
//	Cache.Again    asked anew before a mismatch counts             cache.go
//	Cache.Known    what is known, before mail goes over a connection that is open
//	Cache.Run      refreshes what is kept, spread over time        run.go
//	Cache.List, Show, Refresh, Forget                              desk.go
//	HTTPS          the Fetcher that speaks to policy hosts         https.go, dial.go
//
// What is kept counts until its max_age has passed since it was last fetched, whatever DNS and the policy host say or
// do not say in the meantime (RFC 8461 §3.3): whoever hides them gains nothing until then. Only a policy that was
// fetched replaces one, also one of mode none, by which a domain takes its policy back (RFC 8461 §8.3).
//
//	the record says                    nothing is kept          a policy is kept
//	an id that is kept                 -                        it is fetched when less than half of max_age is left
//	another id                         it is fetched            it is fetched; the old one counts until it is there
//	nothing, or two records, a fault   none                     it counts until its end and is not fetched
//	nobody knows (SERVFAIL, timeout)   none, a fault            it is fetched when less than half of max_age is left
//	anything, and the fetch fails      none, a fault            it counts until its end; asked again within the hour
//
// An unchanged id extends nothing: max_age runs from the fetch (RFC 8461 §3.2). A record that is gone is the wish of
// whoever runs the domain or a forgery; not to fetch then honours the one, and what is kept withstands the other.
// "Nobody knows" is neither, and the fetch is made: its certificate proves more than the record does.
//
// Without a kept policy a failure means that mail goes as if there were none (RFC 8461 §3.3), which is a fault to be
// told of: Note. The same is not asked again for five minutes. A policy with a max_age of less counts as long all the
// same, since a host is asked no more often than that. The store that does not answer is an error and never "no
// policy".
//
// Who asks waits for at most Timeout since the asking began, all who ask for one domain for the same asking; it goes on
// without them for at most a minute and serves the next one. Ten policies are fetched at a time, four of them by Run.
// When all are slow, a domain that was never seen has no policy for now, with a fault that says so.
//
// Memory holds what was asked for last, at most 100,000 domains in 64 MiB; the store has the rest. What another gateway
// stored is seen within a minute.
package stscache
