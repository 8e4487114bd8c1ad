package schedule

import (
	"math/bits"
	"slices"
)

// dues are the instants at which something becomes due, sorted, without duplicates. The first exactDues of them are
// kept to the nanosecond. In a longer list what comes after the first is moved later, by at most a 32nd of its distance
// from the first, so that the length of the list follows the logarithm of the longest wait and not the number of
// deliveries.
type dues []instant

const (
	exactDues = 8
	manyDues  = 256
)

// add inserts d as seen at now. What is overdue is due now.
func (l *dues) add(d, now instant) {
	d = max(d, now)
	if len(*l) >= exactDues {
		d = coarse(d, (*l)[0])
	}
	i, found := slices.BinarySearch(*l, d)
	if found {
		return
	}
	*l = slices.Insert(*l, i, d)
	if len(*l) > manyDues && i == 0 {
		l.thin()
	}
}

// thin makes the whole list coarse: many additions, each earlier than all before, have left it exact.
func (l *dues) thin() {
	first := (*l)[0]
	for i, d := range *l {
		(*l)[i] = coarse(d, first)
	}
	slices.Sort(*l)
	*l = slices.Compact(*l)
}

// coarse rounds d up to a multiple of a power of two that is at most a 32nd of its distance from first.
func coarse(d, first instant) instant {
	if d-first < 64 {
		return d
	}
	grain := instant(1) << (bits.Len64(uint64((d-first)/32)) - 1)
	return (d + grain - 1) &^ (grain - 1)
}

// take removes what is due at now.
func (l *dues) take(now instant) {
	n, found := slices.BinarySearch(*l, now)
	if found {
		n++
	}
	*l = slices.Delete(*l, 0, n)
	if len(*l) == 0 {
		*l = nil // give the memory of a burst back
	}
}
