// Package wal is an append-only log of records that are durable when Append returns. It is what a store commits to
// when a change must be safe at once and may reach its final place later.
//
//	journal/                 mode 0700
//	├── 00000001.seg         header, groups one behind the other, a seal when the next segment has begun
//	├── 00000002.seg
//	├── synced               up to where everything was made durable; itself never synced
//	└── 00000007.seg.damaged what could not be read, set aside; nobody reads or removes it
//
//	header   magic, format, run, index, seed, first, checksum      48 bytes
//	frame    magic, kind, length (4), checksum (4), payload
//	group    a frame in front of what one Append wrote: note, size, run, index, seed
//	record   a frame
//	seal     a frame without payload
//
// Laws, each held by a test:
//
//   - Append returned nil: all its records are on stable storage, in order. One write and one sync serve all of them.
//   - Append returned an error: none of its records is ever read again. What a write left is cut off, and so is what a
//     sync may or may not have made durable; then a failed sync is final, because nobody knows what else is on the
//     disk: every later Append answers ErrBroken. A window remains: where cutting off fails too, or is not durable when
//     the power goes, a later start may find such records whole and in order. So what was refused may happen, if the
//     disk fails twice; what was acknowledged is not touched by it.
//   - A frame's checksum covers a random seed of its segment and its place there. What an earlier use of the file left
//     behind, or a write that failed, therefore never reads as a frame, whatever bytes it holds. Neither does mail.
//   - A torn end is no damage: the newest segment may end in something that does not fit, which a crash tore. It is
//     damage when something stands behind it that was written later, or when synced tells that more was durable. A
//     process that is killed leaves synced as it was; only a power cut can leave an older one, which tells less and
//     nothing wrong.
//   - A segment is begun, durably, before its predecessor gets its seal, and takes records only behind that. So a
//     segment with a seal has a successor, and one without has none that holds records. Each says which is the oldest
//     that was needed. Within these bounds nothing may be missing.
//   - What is damaged is never skipped in silence: Replay answers a *Damage, and nothing was changed. Salvage reads all
//     that can be read, also behind the damage.
//
// A run is one Begin to one Close. Replay reads what the run before left; Begin begins a new one; Forget gives up the
// old. A run's number is a counter and 32 random bits, so that it is known again and taken for no other. The caller
// remembers in another place which run it is in (see Known), so that a journal is missed that is gone as a whole, is an
// older copy, or is another's. And the journal keeps for the caller, in each group, a number that only grows (the
// note), so that an older copy of the other place is noticed too.
//
// Segments below a number are given up with Drop and used again, so that a busy log is rewritten in place: a sync then
// costs no change of the file's size. Format 1 is read and not written (see chain.go).
//
// A Journal belongs to one goroutine, apart from Drop, which any may call.
package wal
