// Package ram finds out how much memory there is for the process, and plans what each part of the gateway may take of
// it.
//
// The law:
//
//   - What there is, is the least of what the control groups of the process may use (version 1 and 2, every level up to
//     the top), half of the machine's memory, and GOMEMLIMIT; limits.memory takes its place where an administrator set
//     it.
//   - A Plan counts everything: the program, the store's caches and young mail, content that is coming in, every
//     session with its TLS state, outbound connections, revocation lists, passwords being hashed, the admin port, and
//     what the garbage collector needs beside each of them. Its Total is never exceeded by design.
//   - Parts whose number the configuration names keep it; the others follow the whole. Sessions get what is left, and
//     never fewer than fewestSessions: a Plan that does not fit says so (Over).
//   - Whoever was let in has what an ordinary message needs until it leaves. What does not fit is never begun: the next
//     client hears 421, the large header 452. Nobody who is in is put out for want of memory.
package ram
