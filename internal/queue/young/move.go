package young

import (
	"time"
)

// Bounds of what may be in the journal alone. What is over them comes into the database, the oldest first.
const (
	oldAge       = 10 * time.Second
	mostMessages = 16384
	chunkBytes   = 4 << 20 // of bodies in a chunk, about
	journalSpan  = 6       // segments
	overfull     = 2       // new mail waits for the mover at so many times the bound
)

// Chunk is how many messages come into the database at once, at most.
const Chunk = 512

// Due reports whether there is a chunk for the mover, or more than most bytes.
func (y *Mail) Due(most int64) bool { return y.finished >= Chunk || y.crowded(most) }

// crowded reports whether there is more in the journal alone than there should be.
func (y *Mail) crowded(most int64) bool { return y.bytes > most || y.inAge.Len() > mostMessages }

// Overfull reports whether there is so much that new mail must wait.
func (y *Mail) Overfull(most int64) bool {
	return y.bytes > overfull*most || int64(y.inAge.Len()) > overfull*mostMessages
}

// TakeDue freezes the next messages that should come into the database: a chunk of those that ended, any number of them
// with all, else of those that wait and are over the bounds; most is that of memory, in bytes.
func (y *Mail) TakeDue(all bool, most int64, now time.Time) []*Message {
	if y.finished >= Chunk || all && y.finished > 0 {
		if ms := y.Take(func(m *Message) bool { return m.left == 0 }); len(ms) > 0 {
			return ms
		}
	}
	crowded := y.crowded(most)
	return y.Take(func(m *Message) bool {
		return crowded || now.Sub(m.at) > oldAge || y.Place.Index > m.segment+journalSpan
	})
}

// Take freezes a chunk of messages that pick chooses, the oldest first: it takes them out of everybody's reach but the
// caller's, who brings them into the database and then calls Land, or Thaw.
func (y *Mail) Take(pick func(m *Message) bool) (out []*Message) {
	bytes := 0
	for e := y.inAge.Front(); e != nil && len(out) < Chunk && bytes < chunkBytes; e = e.Next() {
		if m := e.Value.(*Message); m.free() && pick(m) {
			y.freeze(m)
			out, bytes = append(out, m), bytes+len(m.Body.Data)
		}
	}
	return out
}

// TakeThose freezes all of these messages that are here, if none of them is somebody else's at the moment.
func (y *Mail) TakeThose(seqs []int64) (ms []*Message, ready bool) {
	for _, seq := range seqs {
		if m := y.bySeq[seq]; m != nil {
			if !m.free() {
				return nil, false
			}
			ms = append(ms, m)
		}
	}
	for _, m := range ms {
		y.freeze(m)
	}
	return ms, true
}

// free reports whether a message can be frozen at this moment.
func (m *Message) free() bool { return !m.pending && !m.moving && m.settling == 0 }

// freeze takes a message out of everybody's reach but the caller's, who brings it into the database.
func (y *Mail) freeze(m *Message) {
	m.moving = true
	for i := range m.deliveries {
		if d := &m.deliveries[i]; d.place != nil {
			y.busy[d.Site]++
			delete(y.calm, d.Site)
		}
	}
}

// Thaw undoes Take for those that did not land.
func (y *Mail) Thaw(ms []*Message) {
	for _, m := range ms {
		if m.moving {
			y.rested(m)
			m.moving = false
		}
	}
}

// Land takes messages that are in the database now out.
func (y *Mail) Land(ms []*Message) {
	for _, m := range ms {
		y.rested(m)
		if m.left > 0 {
			y.moves++
		}
		y.Remove(m)
	}
}

// rested counts a frozen message out of the busy sites.
func (y *Mail) rested(m *Message) {
	for i := range m.deliveries {
		if d := &m.deliveries[i]; d.place != nil {
			if y.busy[d.Site]--; y.busy[d.Site] == 0 {
				delete(y.busy, d.Site)
			}
		}
	}
}

// Needs is the first segment of the journal that is needed: the one with the oldest message. What is pending, or comes
// later, will be in the newest or behind it.
func (y *Mail) Needs() uint64 {
	if e := y.inAge.Front(); e != nil && !e.Value.(*Message).pending {
		return e.Value.(*Message).segment
	}
	return y.Place.Index
}

// Any reports whether pick chooses any message that is durable.
func (y *Mail) Any(pick func(m *Message) bool) bool {
	for e := y.inAge.Front(); e != nil; e = e.Next() {
		if m := e.Value.(*Message); !m.pending && pick(m) {
			return true
		}
	}
	return false
}
