// Package recipients says at RCPT whether a recipient in a domain of ours exists, so that mail to nobody is refused
// while its sender is there to hear it, and not accepted to come back later to an address that may be forged.
//
// Each domain has one source: its own servers, which are asked; a file that lists mailboxes; or none, and everybody is
// taken.
//
// The law of asking:
//
//   - Nothing is said, not even an address, over a connection that has not passed the verdict of the leg to these
//     servers, as any mail to them: deliver.Channel.Ask, under the requirement that the configuration has for the
//     domain.
//   - Only a clear no refuses. A server that cannot be reached, is slow, puts off (4xx), refuses us or what we said, or
//     speaks of anything but the mailbox: the recipient is taken, as if nobody had been asked. Nothing is lost that
//     way.
//   - A no is believed when the mailbox is refused to two senders, the null sender and our postmaster. Servers refuse
//     some mailboxes to one of them alone: reports to addresses that never send (BATV), closed lists, senders they do
//     not like. Where one of the two is refused as a sender, the other's no counts if its code says that it is about
//     the mailbox (RFC 3463 §3.2). The sender of the mail is never used: it is a stranger's choice, and one that is
//     refused would make the mailbox unknown to everybody.
//   - What was said is remembered, yes for Known and no for Unknown, and forgotten when an administrator asks for a
//     reload. Neither kind can push out the other, so a flood of names that nobody has costs none of those that exist.
//   - At one server no more than PerServer questions are under way, in all no more than Total. Who finds no place
//     within Wait is taken. The same name is asked once at a time. Connections are kept for Idle and used again, few
//     times, for servers count refusals.
//   - A server that did not answer is not asked for Pause: sessions do not wait for what will not come. It is told
//     once.
//
// The answer to the client has our words alone; the server's are in the event, escaped.
//
// The law of files: a file is read again when its content changes. One that is missing, damaged, or does not name the
// domain any more keeps its last good content in force, and a warning says so once; it never refuses everybody. At the
// start and at a reload it is an error.
//
// Questions are asked by the goroutines of those who want to know. Run looks at files and closes connections, side by
// side, and waits for that.
package recipients
