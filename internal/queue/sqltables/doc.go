// Package sqltables is the tables of the store of a gateway that stands alone: their form and how an older one becomes
// the newest, the counts that are kept instead of being counted, and the statements that change mail in a transaction
// (Tx).
//
// It knows what stands in tables and nothing else: no lease, no journal, no mail that is not here yet, no file of a
// body but by its name. Whoever has these says what is to be changed, and in which order (see sqlstore).
package sqltables
