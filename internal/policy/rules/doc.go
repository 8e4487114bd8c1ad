// Package rules decides, message by message, what the rules of an administrator demand and do.
//
// Parse reads a whole file into a Set: the rules (package rule), the lists they name (rulelist) and the exceptions
// (exception). A Set is evaluated once for a message, at acceptance; the answer is one Outcome per recipient. Whether a
// message is one that a rule is about is told by rulematch; rulediff compares two sets, and ruleedit changes the text.
//
// Requirements of several rules are joined with policy.Combine, so no rule can take away what another demands, and the
// order of the file decides nothing about them. Actions other than force-tls do something with a message once, in the
// order of the file (effects.go).
//
// Ground room: the time and the message are arguments.
package rules
