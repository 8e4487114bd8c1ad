// Package rules reads the rules an administrator writes and turns them, message by message, into requirements.
//
// A rule is scope, match and action. Parse reads a whole file strictly: an unknown key, a value that this release does
// not carry out, or a spelling that could mean two things is an error with its place and a hint, and all of them are
// reported at once. A Set is evaluated once for a message, at acceptance; the answer is one Outcome per recipient.
//
// Requirements of several rules are joined with policy.Combine, so no rule can take away what another demands, and the
// order of the file decides nothing.
//
// Texts and addresses are compared as package pattern says. What cannot be judged counts as a match, and Explain says
// which field and why. A condition on text that a later release adds is a headerCondition, or keeps the law of text in
// another way. No condition asks for the absence of a text: what counts as a match would then take protection away.
//
// The index (index.go) finds the rules that may match by one condition of each; it decides nothing.
//
// Ground room: the time and the message are arguments.
package rules
