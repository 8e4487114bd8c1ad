// Package tlscounts counts what became of TLS with servers of others, for the TLSRPT reports we send (RFC 8460 §4).
//
//	event.Attempted, event.PassedOver -> Sessions -> Recorder (in memory) -> Book (in the store), by UTC day and domain
//	event.PolicyUnavailable           -> Fetch    /
//
// # What a session is
//
// A session is what one climb came to at one address of a mail host, once TLS was decided there: the last handshake of
// the climb with that address succeeded or failed, or STARTTLS was not offered or was refused. So a server that
// completes a handshake only at the second rung had one session, which succeeded, and one that fails at all rungs had
// one that failed.
//
//   - A connection counts once however many messages it carries, and one that resumes a TLS session counts as any
//     other: what is counted is connections on which TLS was negotiated (RFC 8460 §4.4).
//   - What the peer says afterwards is no matter of TLS: 4xx, 5xx or a broken connection over a channel that passed.
//   - Where no connection came about, or no greeting, or no answer to EHLO, there was no session.
//   - Plaintext that follows a failed handshake with the same address is no second session.
//   - A host that is passed over for what is published (no host of an MTA-STS policy, TLSA records whose signatures do
//     not verify or that nobody can look up) is one failed session, though nothing was dialled: the policy keeps mail
//     from it.
//
// # Under which policy it counts
//
// A session counts once under each policy that applied to it: the TLSA records of its host, the MTA-STS policy of the
// recipients' domain, and where neither applied under "no-policy-found". Both apply where unsigned DNS chose a host
// with TLSA records; where signed DNS did, the records go before the policy, which then does not apply. Whether a
// session failed is the verdict of what the policy demands on what the connection proved, never of our own rules. A
// policy that is only observed, in testing, or set aside counts as if it were kept to: that is what its owner wants to
// know.
//
//   - Records of which none can be used: the session fails with "tlsa-invalid" even if it had TLS.
//   - A policy that is announced and could not be had: the session fails with the result of the fetch, under "sts"
//     without lines, and counts nowhere else. While one that was fetched earlier counts, sessions are counted under
//     that, and each fetch that fails is one more failure under "sts" without lines.
//   - Without a policy only TLS itself counts: nobody promised a certificate.
//
// # Whose it is
//
// The policy domain (RFC 8460 §1.1) is the domain of the recipients for MTA-STS and for no policy, and the TLSA base
// domain for DANE (RFC 7672 §2.2.3). What is counted is told to the recipients' domain, which asks for reports at its
// own name, and of DANE again to the base domain, where that is another name: such copies are marked (Policy.Copy), and
// so sums over the domains of a day leave them out.
//
// Mail that an administrator routes, mail for our own domains and address literals is not counted: nobody's published
// policy has a part in it. Nor is a connection that was opened for a report of ours, so that reports make no reports.
//
// # What is kept
//
// Counts go to the store every few seconds, added to what is there in one transaction, so that a crash loses the last
// seconds and counts nothing twice. Adding is commutative; what differs beyond the bounds is only which sessions keep
// their details, never the sums: see DomainsMost, policiesMost and kindsMost.
package tlscounts
