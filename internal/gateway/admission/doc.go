// Package admission judges the clients that bring mail for domains of ours by the rules about incoming mail.
//
// It has no judgement of its own: policy.Verdict judges what the session reached, as it judges what a delivery reached,
// and certcheck examines the certificates that the client showed. intake asks at MAIL and at RCPT, before any content.
//
//	rules.Terms      what each rule that applies demands
//	policy.Combine   their join: a client must meet all of it
//	Judge            evidence of the session, verdict, and what the client is told
//
// Laws (admission_test.go):
//
//   - Whoever falls short of a rule that is enforced is refused, whatever other rules say.
//   - What cannot be judged (roots that cannot be read, a revocation that must be known and is not, a client that was
//     not asked for its certificate) is refused, and always in a way that lets the client try again.
//   - A refusal is permanent only where every rule that refuses says so.
//   - A rule on trial refuses nothing. What would have fallen short is told.
//   - Nobody is asked about a revocation for a rule on trial, for a client that falls short anyway, or for one that only
//     has to encrypt.
package admission
