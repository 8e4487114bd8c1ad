package group

import "runtime"

// Bounds of one group: so many changes, so many bytes, are committed together.
const (
	Most      = 512
	mostBytes = 8 << 20
	yields    = 2 // in a row without a new one end a group
)

// Gather takes what is waiting behind first. It does not wait for a time, but lets other goroutines run as long as that
// brings more: those that the last commit has answered are about to come back, and each commit saved is worth much more
// than that.
func Gather[R interface{ Weight() int }](from <-chan R, first R) []R {
	group, bytes, yielded := []R{first}, first.Weight(), 0
	for len(group) < Most && bytes < mostBytes {
		select {
		case r, ok := <-from:
			if !ok {
				return group
			}
			group, bytes, yielded = append(group, r), bytes+r.Weight(), 0
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
