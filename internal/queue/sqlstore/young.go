package sqlstore

import (
	"container/list"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
)

// young are the messages that are in the journal and not yet in the database: those of the last seconds. Most of them
// leave the queue before they ever come into the database, and are stored there once, as the record they have become.
// Guarded by Store.mu.
type young struct {
	byID  map[queue.ID]*youngMessage
	bySeq map[int64]*youngMessage
	inAge *list.List // of *youngMessage, by seq
	// waiting is what waits at each site, in the order of Claim.
	waiting map[queue.SiteKey]*list.List // of *youngDelivery
	// busy counts, for each site, waiting deliveries that are on their way into the database; moves counts those that
	// arrived there. Whoever claims looks at both, so that none is missed on the way.
	busy  map[queue.SiteKey]int
	moves uint64
	// calm are sites of which the database has nothing that waits and no row of failures.
	calm map[queue.SiteKey]bool
	// floor is the highest ID in the database: a higher one cannot be there.
	floor queue.ID
	// entering are the IDs of messages on their way into the database without the journal; inserts counts those that came.
	entering map[queue.ID]bool
	inserts  uint64
	// place is behind the newest entry of the journal; told is where it was when the database heard of it last.
	place, told wal.Place

	states    [6]int64 // by stored state, like totals
	bodyBytes int64    // of waiting messages
	bytes     int64    // of memory, about
	finished  int      // messages that ended
	stuck     error    // why the last move failed
}

// youngMessage is a message in the journal. What is in newMessage changes under Store.mu only.
type youngMessage struct {
	*stored.Message
	deliveries []youngDelivery
	age        *list.Element
	segment    uint64 // of the journal, that has its acceptance
	at         time.Time
	left       int  // deliveries that wait
	settling   int  // deliveries whose end is being written to the journal
	pending    bool // not yet durable: nobody may see it
	moving     bool // on its way into the database: only its mover may change it
}

// youngDelivery is a delivery of a youngMessage.
type youngDelivery struct {
	*stored.Delivery
	m        *youngMessage
	place    *list.Element // in young.waiting, while it waits
	settling bool
}

func newYoung() young {
	return young{byID: map[queue.ID]*youngMessage{}, bySeq: map[int64]*youngMessage{}, inAge: list.New(),
		waiting: map[queue.SiteKey]*list.List{}, busy: map[queue.SiteKey]int{}, calm: map[queue.SiteKey]bool{},
		entering: map[queue.ID]bool{}}
}

// youngCost is about what a message costs in memory besides its body, a recipient included.
const youngCost = 2 << 10

func (m *youngMessage) cost() int64 {
	return int64(cap(m.Body.Data)) + youngCost + int64(len(m.deliveries)-1)*youngCost/2
}

// announce takes a numbered message in; nobody sees it before admit.
func (y *young) announce(n *stored.Message) *youngMessage {
	m := &youngMessage{Message: n, deliveries: make([]youngDelivery, len(n.Deliveries)), left: len(n.Deliveries),
		pending: true}
	for i := range m.deliveries {
		m.deliveries[i] = youngDelivery{Delivery: &n.Deliveries[i], m: m}
	}
	y.byID[n.ID], y.bySeq[n.Seq] = m, m
	m.age = y.inAge.PushBack(m)
	y.bytes += m.cost()
	return m
}

// admit makes a message that is durable in a segment of the journal visible.
func (y *young) admit(m *youngMessage, segment uint64, now time.Time) {
	m.pending, m.segment, m.at = false, segment, now
	y.bodyBytes += m.Size
	for i := range m.deliveries {
		d := &m.deliveries[i]
		y.states[stored.State(d.State)]++
		y.queue(d)
	}
}

// queue puts a delivery among those that wait at its site, by due and ID. New mail is nearly always the last.
func (y *young) queue(d *youngDelivery) {
	l := y.waiting[d.Site]
	if l == nil {
		l = list.New()
		y.waiting[d.Site] = l
	}
	for e := l.Back(); e != nil; e = e.Prev() {
		if o := e.Value.(*youngDelivery); o.Due.Before(d.Due) || o.Due.Equal(d.Due) && o.ID < d.ID {
			d.place = l.InsertAfter(d, e)
			return
		}
	}
	d.place = l.PushFront(d)
}

// unqueue takes a delivery out of those that wait.
func (y *young) unqueue(d *youngDelivery) {
	if d.place == nil {
		return
	}
	l := y.waiting[d.Site]
	l.Remove(d.place)
	if d.place = nil; l.Len() == 0 {
		delete(y.waiting, d.Site)
	}
}

// remove takes a message out altogether.
func (y *young) remove(m *youngMessage) {
	delete(y.byID, m.ID)
	delete(y.bySeq, m.Seq)
	y.inAge.Remove(m.age)
	y.bytes -= m.cost()
	if m.pending {
		return
	}
	if m.left > 0 {
		y.bodyBytes -= m.Size
	} else {
		y.finished--
	}
	for i := range m.deliveries {
		d := &m.deliveries[i]
		y.states[stored.State(d.State)]--
		y.unqueue(d)
	}
}

// finish ends a delivery: the state has been set.
func (y *young) finish(d *youngDelivery, was queue.State) {
	y.states[stored.State(was)]--
	y.states[stored.State(d.State)]++
	y.unqueue(d)
	if d.m.left--; d.m.left > 0 {
		return
	}
	y.finished++
	y.bodyBytes -= d.m.Size
	y.bytes -= int64(cap(d.m.Body.Data))
	d.m.Body.Data = nil
}

// has reports whether an ID is taken by a message that is not, or not for certain, in the database.
func (y *young) has(id queue.ID) bool { return y.byID[id] != nil || y.entering[id] }

// find returns a delivery that is in the journal and not on its way out of it.
func (y *young) find(id queue.DeliveryID) *youngDelivery {
	m := y.bySeq[stored.SeqOf(id)]
	if n := stored.Place(id); m != nil && !m.pending && n < len(m.deliveries) {
		return &m.deliveries[n]
	}
	return nil
}

// applied is the highest seq up to which every message is in the database, when those of landed have come there.
func (y *young) applied(last int64, landed []*youngMessage) int64 {
	for e := y.inAge.Front(); e != nil; e = e.Next() {
		if m := e.Value.(*youngMessage); !m.landing(landed) {
			return m.Seq - 1
		}
	}
	return last
}

func (m *youngMessage) landing(landed []*youngMessage) bool {
	if !m.moving {
		return false
	}
	for _, l := range landed {
		if l == m {
			return true
		}
	}
	return false
}

// oldest is when the oldest message that waits was accepted.
func (y *young) oldest() time.Time {
	for e := y.inAge.Front(); e != nil; e = e.Next() {
		if m := e.Value.(*youngMessage); !m.pending && m.left > 0 {
			return m.AcceptedAt
		}
	}
	return time.Time{}
}

// calmKept bounds the memory of calm sites.
const calmKept = 8192

// calms notes that the database has nothing of a site that matters to a claim.
func (y *young) calms(key queue.SiteKey) {
	if y.busy[key] > 0 {
		return
	}
	if len(y.calm) >= calmKept {
		clear(y.calm)
	}
	y.calm[key] = true
}
