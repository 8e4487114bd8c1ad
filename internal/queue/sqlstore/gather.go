package sqlstore

import "runtime"

// gather takes what is waiting behind first. It does not wait for a time, but lets other goroutines run as long as that
// brings more: those that the last commit has answered are about to come back, and each commit saved is worth much more
// than that.
func gather[R interface{ weight() int }](from <-chan R, first R) []R {
	group, bytes, yielded := []R{first}, first.weight(), 0
	for len(group) < groupRequests && bytes < groupBytes {
		select {
		case r, ok := <-from:
			if !ok {
				return group
			}
			group, bytes, yielded = append(group, r), bytes+r.weight(), 0
		default:
			if yielded == yields {
				return group
			}
			yielded++
			runtime.Gosched()
		}
	}
	return group
}
