// Package rules reads the rules an administrator writes and turns them, message by message, into requirements.
//
// A rule is scope, match and action. Parse reads a whole file strictly: an unknown key, a value that this release does
// not carry out, or a spelling that could mean two things is an error with its place and a hint, and all of them are
// reported at once. A Set is evaluated once for a message, at acceptance; the answer is one Outcome per recipient.
//
// Requirements of several rules are joined with policy.Combine, so no rule can take away what another demands, and the
// order of the file decides nothing about them. Actions other than force-tls do something with a message once, in the
// order of the file (effects.go).
//
// The law of text. A rule protects what people read. So text of a message and text of a rule are compared in one form
// (form.go): white space of any kind, folds included, is one blank, and none at the ends; what has no look of its own
// (joiners, soft hyphens, marks of direction, variation selectors, control characters) is not there; compatibility
// forms such as full-width letters are what they stand for (Unicode NFKC); hyphens and quotation marks are one each;
// case is folded unless the rule says otherwise. An "re:" expression is searched in that form and in the text as it was
// sent. A field has as many readings as programs may show (mail.Text), and one that fits is enough. What could not be
// read as text, or is longer than is looked at, counts as a match, and Explain says which field and why. Header fields
// and addresses, globs and expressions, the index and the matchers all see the same forms; a condition on text that a
// later release adds is a headerCondition, or keeps this law in another way. No condition asks for the absence of a
// text: what counts as a match would then take protection away.
//
// Two filters stand before the patterns, and each is needed (BenchmarkEvaluate, 10,000 rules). The index (index.go,
// literals.go) finds the rules that may match by one condition of each. Where that condition is common, such as one
// recipient domain in all rules, it finds them all; then grams.go dismisses a pattern in a few instructions. Without
// grams that case takes two to three times as long; the others, which take far less, would gain a part of that.
//
// Ground room: the time and the message are arguments.
package rules
