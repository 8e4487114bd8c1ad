package schedule

import "time"

// instant is a time in nanoseconds since 1970, a third of the size of time.Time.
type instant int64

func at(t time.Time) instant { return instant(t.UnixNano()) }

func (i instant) time() time.Time { return time.Unix(0, int64(i)).UTC() }

// site is one record of the scheduler.
type site struct {
	name string
	dues dues
	// key and seq order a heap; pos is the place in it, heap which one (nil: in none).
	key  instant
	seq  uint64
	heap *heapOf
	pos  int32
	// line is that of the lane or the family it waits in, nil if in none; next and prev are its neighbours there.
	line       *line
	next, prev *site

	lane     uint32 // of who waits there
	running  int32
	failures int32
	batch    int32 // see Divide
	own      bool  // a server of ours
	reports  bool  // only reports wait
	slow     bool  // the last message there was slow
	probing  bool  // the one worker running is a probe
	kicked   bool  // the next probe need not wait for retryAt
	asProbe  bool  // key counts retryAt
	since    instant
	retryAt  instant
	good     instant // when it last took mail; 0: not known
	// asked is when a site is asked next for what the store did not list, 0: everything is in dues; askUntil is when it
	// is asked last, 0 while that is not known.
	asked, askUntil instant
	// waits is the family that refused it last, woke the one whose freed place it may be ready for; nil if there is
	// none.
	waits, woke *family
}

// state is what is stored about the site.
func (e *site) state() State {
	if e.failures == 0 {
		return State{}
	}
	return State{Failures: int(e.failures), Since: e.since.time(), RetryAt: e.retryAt.time()}
}

// repaired forgets the row of failures.
func (e *site) repaired() {
	e.failures, e.since, e.retryAt, e.kicked = 0, 0, 0, false
}

// heapOf is a heap of sites, the smallest key first and among equals the one that came first.
type heapOf struct{ sites []*site }

func (q *heapOf) Len() int { return len(q.sites) }

func (q *heapOf) Less(i, j int) bool { return q.sites[i].before(q.sites[j]) }

func (e *site) before(o *site) bool {
	return e.key < o.key || e.key == o.key && e.seq < o.seq
}

func (q *heapOf) Swap(i, j int) {
	q.sites[i], q.sites[j] = q.sites[j], q.sites[i]
	q.sites[i].pos, q.sites[j].pos = int32(i), int32(j)
}

// Push and Pop are called by container/heap alone.
func (q *heapOf) Push(x any) {
	e := x.(*site)
	e.pos, e.heap = int32(len(q.sites)), q
	q.sites = append(q.sites, e)
}

func (q *heapOf) Pop() any {
	last := len(q.sites) - 1
	e := q.sites[last]
	q.sites[last] = nil
	q.sites = q.sites[:last]
	e.heap = nil
	return e
}

// first returns the head of the heap, nil when it is empty.
func (q *heapOf) first() *site {
	if len(q.sites) == 0 {
		return nil
	}
	return q.sites[0]
}

// line is a queue of sites from which any can be taken. A site is in one line at most.
type line struct {
	head, tail *site
	n          int
	lane       *lane // whose line it is, nil for a family's
}

func (l *line) push(e *site) {
	e.line, e.prev, e.next = l, l.tail, nil
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.next = e
	}
	l.tail = e
	l.n++
}

func (l *line) remove(e *site) {
	if e.prev == nil {
		l.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.line, e.prev, e.next = nil, nil, nil
	l.n--
}
