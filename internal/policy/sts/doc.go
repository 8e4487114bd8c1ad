// Package sts reads and writes what a domain publishes about MTA-STS. RFC 8461 has two things: the record in DNS that
// says that there is a policy and which, and the policy itself, a small file served over HTTPS. Nothing is fetched
// here; gateway/stscache does.
//
//	Record   _mta-sts.DOMAIN TXT "v=STSv1; id=20261128;"
//	Policy   https://mta-sts.DOMAIN/.well-known/mta-sts.txt: a mode, the mail hosts that are meant, how long it counts
//
// The field is untidy, and a domain whose policy is thrown away for a blank has no protection. So what is only untidy
// is read as it was meant and told of in Oddities: any line end or none at the end, a byte order mark, blanks of any
// kind around keys and values, empty lines and comments, keys in any order, keys that nobody knows, a key that comes
// twice (the first counts), upper case in keys, version and mode, U-labels and a final dot in names. The ABNF of
// RFC 8461 §3.2 gives keys and modes a case; "mode: Enforce" can mean one thing only, and taking it for no policy would
// undo what was asked.
//
// What is unclear is a fault, and a policy with a fault is no policy: a size over 64 KiB, control characters, a version
// other than STSv1, a mode that nobody knows, a max_age that is no number, no mx where mail hosts must match. A single
// mx that cannot be used matches no host and is an oddity, as long as another one can: fewer hosts match, never more.
// "*" alone is none that can be used.
//
// The record is only a sign that there is something to fetch. RFC 8461 §3.1 demands of it to be one and well-formed,
// else there is no policy.
package sts
