// Package examiner asks, for any mail server, the question that a delivery asks, and reports the answer (check.Report).
//
// It has no judgement of its own. A target becomes a route.Plan exactly as a delivery's domain does; each question is a
// policy.Requirement, and its answer is what deliver.Deliverer.Open makes of that plan under that requirement. The
// channel is closed before MAIL. So check and delivery cannot disagree.
//
//	Check        plan, one address after the other, then the whole plan     check.go
//	judge        one question -> Verdict, by Open                           judge.go
//	look         what an address shows: greeting, EHLO, chain, times        look.go, by deliver.Look
//	early        are bytes sent right after STARTTLS wrongly taken?         early.go
//	trials       each TLS version, group and kind of certificate alone      trials.go
//	diagnose     where no handshake completes: what would the server like?  diagnose.go, wants.go, by tlsprobe
//	findings     what else is worth knowing                                 findings.go
//	Run          many targets, bounded, in the order they came              run.go
//
// Manners (manners.go): one address is examined once at a time, with a pause before the next time, and every
// conversation ends with QUIT.
package examiner
