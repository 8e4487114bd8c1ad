// Package journal is an append-only log of records that are durable when Append returns. It is what a store commits to
// when a change must be safe at once and may reach its final place later.
//
//	journal/                 mode 0700
//	├── 00000001.seg         header, records one behind the other, a seal when the next segment has begun
//	└── 00000002.seg
//
//	header   magic, format, run, index, seed, checksum             48 bytes
//	record   length (4), checksum (4), payload
//	seal     length 0xffffffff, checksum (4)
//
// Laws, each held by a test:
//
//   - Append returned nil: all its records are on stable storage, in order. One write and one sync serve all of them.
//   - Append returned an error: none of its records is ever read again, whatever of them reached the disk. A failed sync is
//     final, because nobody knows what is on the disk: every later Append answers ErrBroken.
//   - A record's checksum covers the record before it too, down to a random seed in the header. What an earlier use of the
//     file left behind, or a write that failed, therefore never reads as a record, whatever bytes it holds.
//   - Reading ends at the first record that does not fit. In the newest segment that is the end: a write that a crash tore.
//     In an older one of the same run nothing may be missing, and Replay answers ErrDamaged: it had a seal before its
//     successor took the first record.
//
// A run is one Begin to one Close. Replay reads what the runs before left; Begin forgets it. Segments below a number are
// given up with Drop and used again, so that a busy log is rewritten in place: a sync then costs no change of the file's
// size.
//
// A Journal belongs to one goroutine, apart from Drop, which any may call.
package journal
