// Package scope keeps what an operator sees within the domains of their account. Each request of an Asker names the
// right it needs (Need, Wide), reads records through Search, which leaves out what is not within those domains, and
// shows of each what Told leaves. The rooms that answer stand on it: admin and what it joins.
//
// # The law of scopes
//
// A principal whose scope is some domains is told, in any answer, of
//
//   - deliveries whose sender or recipient is in the scope (Sees), as Told shows them: who handed mail of others in is
//     left out, what rules demanded of mail that others sent too, what happened between us and our own servers of other
//     domains, what a server said in a try that was made for the site as a whole, and who else asked for something;
//   - rules of which every sender is in the scope (Owns), their warnings and their sums; it may write these alone;
//   - rules about the mail of domains that are all in the scope (Hears), and their warnings: not their sums, nor may it
//     write them, for mail is a domain's by its header too, whoever sends it;
//   - servers that deliveries it sees, as they are told, were tried at, without what adds up the mail of all;
//   - checks of the domains of the scope, of domains its mail goes to, and of such servers;
//   - sums of the domains of the scope, and entries of the audit trail that the principal made;
//   - whether the gateway is ready, its name and its version, and the number of the rules in force.
//
// Nothing else: no name, address, path, text or count that is there because of others. Whether something exists that it
// may not see is not told: what is out of reach is answered as what is not there. An error that is not about the
// request is told without its words (admin.Desk.Tell). Two things are common to all and cannot be hidden: names of
// rules are taken or free, and ids of deliveries count upwards.
//
// A search that ended before it had seen everything never says that there is nothing: it says how far it looked (Page,
// and the lists of other rooms), or is refused with ErrUnfinished where an answer must be whole.
package scope
