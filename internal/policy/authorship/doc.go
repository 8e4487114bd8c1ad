// Package authorship says which domains a message is the mail of. Rules with the key domain ask for it.
//
// A message is a domain's mail
//
//   - when its envelope sender is in the domain. Tags of BATV (prvs=) and VERP leave the domain as it is;
//   - when its envelope sender was rewritten (SRS, the percent hack, UUCP paths, an address in quotes) and stands for
//     one in the domain. One that was rewritten so that nobody can tell for whom counts as a match;
//   - when a field in which people or programs see an author holds an address in the domain: see Fields. Each address
//     counts, in every reading, those in display names and comments too, for that is what people read. What cannot be
//     judged counts as a match;
//   - when its sender is null or rewritten, and what binds the client or the user who handed it in names the domain.
//
// Where nothing binds whoever handed in a null sender, the header alone tells, and Condition.Explain says so.
//
// Ground room: the message is an argument.
package authorship
