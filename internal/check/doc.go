// Package check is what a check of a mail server finds out, as data: would mail go there, how well protected, and if
// not, why, who must act, and what is to be done. Who finds it out is examiner; who reads it needs no sender of mail.
//
//	Parse      what somebody typed -> Target                              target.go
//	Report     verdicts, findings, hosts and what they showed             report.go
//	Changes    how a report differs from an earlier one                   change.go
//	Tally      is the fault ours? what many targets have in common        ours.go
//	Letter     a message to the partner's administrator                   letter.go, advice.go
//	LookAtOwn  our own chain, as partners see it                          own.go
//
// Ground room: roots and "now" are arguments.
package check
