package schedule

import (
	"math/bits"
	"slices"
	"time"
)

// instant is a time in nanoseconds since 1970, a third of the size of time.Time.
type instant int64

func at(t time.Time) instant { return instant(t.UnixNano()) }

func (i instant) time() time.Time { return time.Unix(0, int64(i)).UTC() }

// site is one record of the scheduler.
type site struct {
	name string
	dues dues
	// key and seq order a queue; pos is the place in it, queue which one (nil: in none).
	key   instant
	seq   uint64
	pos   int
	queue *queue

	running  int
	probing  bool // the one worker running is a probe
	kicked   bool // the next probe need not wait for retryAt
	failures int
	since    instant
	retryAt  instant
	// asked is when a loaded site is asked next for what the store did not list; 0: everything is in dues.
	asked instant
}

// state is what is stored about the site.
func (e *site) state() State {
	if e.failures == 0 {
		return State{}
	}
	return State{Failures: e.failures, Since: e.since.time(), RetryAt: e.retryAt.time()}
}

// repaired forgets the row of failures.
func (e *site) repaired() {
	e.failures, e.since, e.retryAt, e.kicked = 0, 0, 0, false
}

// dues are the instants at which something becomes due, sorted, without duplicates. The first exactDues of them are kept
// to the nanosecond. In a longer list what comes after the first is moved later, by at most a 32nd of its distance from
// the first, so that the length of the list follows the logarithm of the longest wait and not the number of deliveries.
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

// queue is a heap of sites, the smallest key first and among equals the one that came first.
type queue struct{ sites []*site }

func (q *queue) Len() int { return len(q.sites) }

func (q *queue) Less(i, j int) bool { return q.sites[i].before(q.sites[j]) }

func (e *site) before(o *site) bool {
	return e.key < o.key || e.key == o.key && e.seq < o.seq
}

func (q *queue) Swap(i, j int) {
	q.sites[i], q.sites[j] = q.sites[j], q.sites[i]
	q.sites[i].pos, q.sites[j].pos = i, j
}

// Push and Pop are called by container/heap alone.
func (q *queue) Push(x any) {
	e := x.(*site)
	e.pos, e.queue = len(q.sites), q
	q.sites = append(q.sites, e)
}

func (q *queue) Pop() any {
	last := len(q.sites) - 1
	e := q.sites[last]
	q.sites[last] = nil
	q.sites = q.sites[:last]
	e.queue = nil
	return e
}

// first returns the head of the queue, nil when it is empty.
func (q *queue) first() *site {
	if len(q.sites) == 0 {
		return nil
	}
	return q.sites[0]
}
