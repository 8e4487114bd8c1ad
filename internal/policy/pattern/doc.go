// Package pattern holds texts and addresses of mail against patterns that people write, thousands of them at a time.
//
// The law of text. A rule protects what people read. So text of a message and text of a rule are compared in one form
// (form.go): white space of any kind, folds included, is one blank, and none at the ends; what has no look of its own
// (joiners, soft hyphens, marks of direction, variation selectors, control characters) is not there; compatibility
// forms such as full-width letters are what they stand for (Unicode NFKC); hyphens and quotation marks are one each;
// case is folded unless the rule says otherwise. An "re:" expression is searched in that form and in the text as it was
// sent. A field has as many readings as programs may show (mail.Text), and one that fits is enough. What could not be
// read as text, or is longer than is looked at, is a Value with a Doubt: it counts as a match, and says why.
//
// Two filters stand before the patterns, and each is needed (BenchmarkEvaluate of policy/rules, 10,000 rules). An index
// (AddressIndex, TextIndex, NetworkIndex) finds the rules that may match by one condition of each; it finds more than
// match, never less. Where that condition is common, such as one recipient domain in all rules, it finds them all; then
// grams.go dismisses a pattern in a few instructions. Without grams that case takes two to three times as long; the
// others, which take far less, would gain a part of that. A rule is a number here, its position in a list.
//
// Ground room: it does nothing but compare.
package pattern
