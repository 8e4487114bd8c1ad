// Package rule is one rule as an administrator writes it, and the grammar of rules.
//
// A Rule is scope, match and action (rule.go). The table of its keys (keys.go) is the grammar: it says how each is read
// from TOML, printed, told as JSON, shown in a form, and whether a change of it may take protection away. What a rule
// demands of a channel, by itself, is a policy.Requirement (requirement.go); what it does with mail is a policy.Effect.
// Reading is strict: an unknown key, a value that this release does not carry out, or a spelling that could mean two
// things is a problem with its place and a hint, and all of them are reported at once.
//
// No condition asks for the absence of a text: what counts as a match would then take protection away.
//
// Ground room: the text is an argument.
package rule
