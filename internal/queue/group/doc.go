// Package group has many changes share the price of a commit: one goroutine takes all that came in while it wrote, and
// commits it together.
//
// A change that cannot be done does not take others with it: a group that fails is tried again one by one. While
// another program has the database locked, what needs no lock goes on; what does need it waits in the Writer, which
// tries again and again and serves the others meanwhile, so that no more than those who asked for it wait.
package group
