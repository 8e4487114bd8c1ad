// Package rulematch says whether a message is one that a rule is about.
//
// Conditions are domain, [rule.match] and [rule.unless] of a rule, made ready by a Compiler; a Reader makes a message
// ready for them. Texts and addresses are compared as package pattern says. What cannot be judged counts as a match,
// and as no exception (surely.go); Explain says which field and why. A condition on text that a later release adds is a
// textCondition, or keeps the law of text in another way.
//
// The index (index.go) finds the rules that may match by one condition of each; it decides nothing.
//
// Ground room: the time and the message are arguments.
package rulematch
