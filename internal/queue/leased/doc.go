// Package leased holds the mail that a gateway of a shared queue accepted itself and has in memory under leases of its
// own, so that neither a claim nor a settlement need ask the database.
//
// Most mail leaves the queue within a second of its acceptance, by the gateway that accepted it. Such mail is accepted
// with its lease already held, where the site has never failed as far as the database knows, and stays in memory
// (Mail): who claims at the site gets it from here, its body too. For every other gateway it is leased, and can be
// taken over when the lease ends. What nobody asks for in time is given back, and comes from the database like all
// other mail. Mail remembers besides at which sites the database has nothing to claim.
//
// While a lease is held nobody else changes the delivery, but for what is wished of it. So a settlement need not read
// it again (Given); the transaction only asks whether the lease still stands and nothing is wished.
//
// Nothing here knows the database. Whoever owns it says what was stored, claimed, prolonged and ended, and gives back
// leases that he is handed.
package leased
