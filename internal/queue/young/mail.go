package young

import (
	"container/list"
	"time"

	"postern/internal/queue"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
)

// Mail is the messages that are in the journal and not yet in the database: those of the last seconds. Most of them
// leave the queue before they ever come into the database, and are stored there once, as the record they have become.
//
// Use New. It is not safe for concurrent use: a mutex of its owner guards it and all messages in it.
type Mail struct {
	byID  map[queue.ID]*Message
	bySeq map[int64]*Message
	inAge *list.List // of *Message, by seq
	// waiting is what waits at each site, in the order of Claim.
	waiting map[queue.SiteKey]*list.List // of *Delivery
	// busy counts, for each site, waiting deliveries that are on their way into the database; moves counts those that
	// arrived there. Whoever claims looks at both, so that none is missed on the way.
	busy  map[queue.SiteKey]int
	moves uint64
	// calm are sites of which the database has nothing that waits and no row of failures.
	calm map[queue.SiteKey]bool
	// entering are the IDs of messages on their way into the database without the journal.
	entering map[queue.ID]bool
	// Place is behind the newest entry of the journal; Told is where it was when the database heard of it last.
	Place, Told wal.Place
	// Floor is the highest ID in the database: a higher one cannot be there. Inserts counts the messages that came
	// there without the journal.
	Floor   queue.ID
	Inserts uint64
	// Stuck is why the last move failed.
	Stuck error

	states    stored.Counts
	bodyBytes int64 // of waiting messages
	bytes     int64 // of memory, about
	finished  int   // messages that ended
}

// Message is a message in the journal.
type Message struct {
	*stored.Message
	deliveries []Delivery
	age        *list.Element
	segment    uint64 // of the journal, that has its acceptance
	at         time.Time
	left       int  // deliveries that wait
	settling   int  // deliveries whose end is being written to the journal
	pending    bool // not yet durable: nobody may see it
	moving     bool // on its way into the database: only its mover may change it
}

// Left is how many deliveries wait.
func (m *Message) Left() int { return m.left }

// Delivery is a delivery of a Message.
type Delivery struct {
	*stored.Delivery
	Of       *Message
	place    *list.Element // in Mail.waiting, while it waits
	settling bool
}

// New makes an empty Mail.
func New() *Mail {
	return &Mail{byID: map[queue.ID]*Message{}, bySeq: map[int64]*Message{}, inAge: list.New(),
		waiting: map[queue.SiteKey]*list.List{}, busy: map[queue.SiteKey]int{}, calm: map[queue.SiteKey]bool{},
		entering: map[queue.ID]bool{}}
}

// messageCost is about what a message costs in memory besides its body, a recipient included.
const messageCost = 2 << 10

func (m *Message) cost() int64 {
	return int64(cap(m.Body.Data)) + messageCost + int64(len(m.deliveries)-1)*messageCost/2
}

// Announce takes a numbered message in; nobody sees it before Admit.
func (y *Mail) Announce(n *stored.Message) *Message {
	m := &Message{Message: n, deliveries: make([]Delivery, len(n.Deliveries)), left: len(n.Deliveries),
		pending: true}
	for i := range m.deliveries {
		m.deliveries[i] = Delivery{Delivery: &n.Deliveries[i], Of: m}
	}
	y.byID[n.ID], y.bySeq[n.Seq] = m, m
	m.age = y.inAge.PushBack(m)
	y.bytes += m.cost()
	return m
}

// Admit makes a message that is durable in a segment of the journal visible.
func (y *Mail) Admit(m *Message, segment uint64, now time.Time) {
	m.pending, m.segment, m.at = false, segment, now
	y.bodyBytes += m.Size
	for i := range m.deliveries {
		d := &m.deliveries[i]
		y.states[stored.State(d.State)]++
		y.queue(d)
	}
}

// queue puts a delivery among those that wait at its site, by due and ID. New mail is nearly always the last.
func (y *Mail) queue(d *Delivery) {
	l := y.waiting[d.Site]
	if l == nil {
		l = list.New()
		y.waiting[d.Site] = l
	}
	for e := l.Back(); e != nil; e = e.Prev() {
		if o := e.Value.(*Delivery); o.Due.Before(d.Due) || o.Due.Equal(d.Due) && o.ID < d.ID {
			d.place = l.InsertAfter(d, e)
			return
		}
	}
	d.place = l.PushFront(d)
}

// unqueue takes a delivery out of those that wait.
func (y *Mail) unqueue(d *Delivery) {
	if d.place == nil {
		return
	}
	l := y.waiting[d.Site]
	l.Remove(d.place)
	if d.place = nil; l.Len() == 0 {
		delete(y.waiting, d.Site)
	}
}

// Remove takes a message out altogether.
func (y *Mail) Remove(m *Message) {
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

// Has reports whether an ID is taken by a message that is not, or not for certain, in the database.
func (y *Mail) Has(id queue.ID) bool { return y.byID[id] != nil || y.entering[id] }

// Find returns a delivery that is in the journal and not on its way out of it.
func (y *Mail) Find(id queue.DeliveryID) *Delivery {
	m := y.bySeq[stored.SeqOf(id)]
	if n := stored.Place(id); m != nil && !m.pending && n < len(m.deliveries) {
		return &m.deliveries[n]
	}
	return nil
}

// Applied is the highest seq up to which every message is in the database, when those of landed have come there.
func (y *Mail) Applied(last int64, landed []*Message) int64 {
	for e := y.inAge.Front(); e != nil; e = e.Next() {
		if m := e.Value.(*Message); !m.landing(landed) {
			return m.Seq - 1
		}
	}
	return last
}

func (m *Message) landing(landed []*Message) bool {
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

// Oldest is when the oldest message that waits was accepted.
func (y *Mail) Oldest() time.Time {
	for e := y.inAge.Front(); e != nil; e = e.Next() {
		if m := e.Value.(*Message); !m.pending && m.left > 0 {
			return m.AcceptedAt
		}
	}
	return time.Time{}
}

// calmKept bounds the memory of calm sites.
const calmKept = 8192

// NoteCalm notes that the database has nothing of a site that matters to a claim.
func (y *Mail) NoteCalm(key queue.SiteKey) {
	if y.busy[key] > 0 {
		return
	}
	if len(y.calm) >= calmKept {
		clear(y.calm)
	}
	y.calm[key] = true
}

// Calm reports whether the database is known to have nothing of a site that matters to a claim.
func (y *Mail) Calm(key queue.SiteKey) bool { return y.calm[key] }

// Stir notes that the database has something of a site that matters to a claim.
func (y *Mail) Stir(key queue.SiteKey) { delete(y.calm, key) }

// Moved reports how many waiting messages came into the database, and whether some of a site are on their way there.
func (y *Mail) Moved(key queue.SiteKey) (moves uint64, busy bool) { return y.moves, y.busy[key] > 0 }

// Enter takes an ID for a message that comes into the database without the journal; false means that it is taken.
func (y *Mail) Enter(id queue.ID) bool {
	if y.Has(id) {
		return false
	}
	y.entering[id] = true
	return true
}

// Leave gives an ID up that Enter took.
func (y *Mail) Leave(id queue.ID) { delete(y.entering, id) }

// Get returns a message that is durable, nil where there is none.
func (y *Mail) Get(id queue.ID) *Message {
	if m := y.byID[id]; m != nil && !m.pending {
		return m
	}
	return nil
}

// At lists deliveries at a site that nobody is at and that takes chooses, in the order of Claim, at most so many.
func (y *Mail) At(key queue.SiteKey, most int, takes func(d *Delivery) bool) (found []*Delivery) {
	waiting := y.waiting[key]
	if waiting == nil {
		return nil
	}
	for e := waiting.Front(); e != nil && len(found) < most; e = e.Next() {
		if d := e.Value.(*Delivery); !d.Of.moving && !d.settling && takes(d) {
			found = append(found, d)
		}
	}
	return found
}

// Site is the site of any delivery, also of one that ended; nil where there is none.
func (y *Mail) Site(key queue.SiteKey) *stored.Site {
	for e := y.inAge.Front(); e != nil; e = e.Next() {
		for i := range e.Value.(*Message).deliveries {
			if d := &e.Value.(*Message).deliveries[i]; d.Site == key {
				return &stored.Site{Key: key, NextHop: d.At.NextHop, Requirement: d.At.Requirement}
			}
		}
	}
	return nil
}

// Counts are the deliveries by stored state, and the bytes of bodies of messages that wait.
func (y *Mail) Counts() (states stored.Counts, bodyBytes int64) { return y.states, y.bodyBytes }

// Empty reports whether everything is in the database.
func (y *Mail) Empty() bool { return y.inAge.Len() == 0 }
