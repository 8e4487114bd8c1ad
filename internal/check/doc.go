// Package check asks, for any mail server, the question that a delivery asks: would mail go there, how well protected,
// and if not, why, who must act, and what is to be done.
//
// It has no judgement of its own. A target becomes a route.Plan exactly as a delivery's domain does; each question is a
// policy.Requirement, and its answer is what deliver.Deliverer.Open makes of that plan under that requirement. The channel
// is closed before MAIL. So check and delivery cannot disagree.
//
//	Parse        what somebody typed -> Target                              target.go
//	Check        plan, one address after the other, then the whole plan     check.go
//	judge        one question -> Verdict, by Open                           judge.go
//	look         what an address shows: greeting, EHLO, chain, times        look.go, by deliver.Look
//	early        are bytes sent right after STARTTLS wrongly taken?         early.go
//	trials       each TLS version, group and kind of certificate alone      trials.go
//	diagnose     where no handshake completes: what would the server like?  diagnose.go, wants.go, by tlsprobe
//	Run          many targets, bounded, in the order they came              run.go
//	Tally        is the fault ours? what many targets have in common        ours.go
//	Letter       a message to the partner's administrator                   letter.go
//	Own          our own chain, as partners see it                          own.go
//
// Manners (manners.go): one address is examined once at a time, with a pause before the next time, and every
// conversation ends with QUIT.
package check
