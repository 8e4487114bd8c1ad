// Package storecopy moves everything that one store keeps into another of another engine, and shows that nothing was
// lost.
//
// Both stores have the same tables over the forms of package stored. They are copied at this level, in portions of some
// hundred rows: what is neither in a column nor in a body of its own is in no store. What an engine keeps besides for
// itself (counts, sequences, indexes, the journal) it makes anew at the end, of what was counted while everything was
// read again.
//
// # A copy that was ended in the middle
//
// It is begun again. Each portion is read on both sides, and written only where they differ. So what is there already
// is not copied twice, and it does not matter what became of the source meanwhile.
//
// # What must never happen
//
// That a gateway runs on both stores, and all that waits is sent twice; and that one runs on a part of a store. A store
// says therefore how it stands (Standing), durably and in a way that also keeps releases from starting that know
// nothing of this room:
//
//	embedded     the application id in the header of queue.db is another: every release calls it a foreign file
//	PostgreSQL   a trigger on each table refuses all that changes something, whoever wants it
//
// The order of marks is the whole of it. A target is Unfinished before the first row is in it. When everything was read
// again on both sides and is the same, the source is Moved, and then the target is nothing special any more. A process
// that dies before the source is Moved leaves a source that is good; one that dies after that leaves a target that is
// complete and still Unfinished, which the same command says when it is run again. At no moment can both be opened.
//
// While it is copied nobody else changes the source: the embedded one is locked, and one in PostgreSQL is Copying, with
// the triggers. What a process of it that stood still wants to write afterwards is refused.
package storecopy
