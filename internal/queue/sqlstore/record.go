package sqlstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/wal"
)

// Kinds of records in the journal: the first byte. A released kind never changes; what changes meaning is a new kind, and
// one that a release does not know was written by a newer one.
const (
	kindAccept = 1 // a message with its deliveries and its body, or the name of its file
	kindSettle = 2 // deliveries that were delivered
)

// acceptRecord is the record of a message; numberRecord completes it.
func acceptRecord(n *newMessage) wal.Record {
	m := &n.message
	b := make(fields, 0, 512+len(n.facts)+len(n.deliveries)*512)
	b = append(b, kindAccept, 0, 0, 0, 0, 0, 0, 0, 0) // its seq comes here
	b.text(string(m.ID))
	b.time(m.AcceptedAt)
	b.int(m.Size)
	b.int(m.RulesRevision)
	b.text(n.draft.name)
	key, has := n.messageID.(int64)
	b.int(database.Flag(has))
	b.int(key)
	b.text(n.sender)
	b.text(n.facts)
	b.int(int64(len(n.deliveries)))
	for i := range n.deliveries {
		d := &n.deliveries[i]
		b.text(d.site.nextHop)
		b.text(d.site.requirement)
		b.int(storedState(d.State))
		b.time(d.Due)
		b.time(d.Deadline)
		b.time(d.ExpiresAt)
		b.int(database.Flag(d.Noticed))
		b.int(int64(d.Reached))
		b.text(string(d.Reason))
		b.int(d.recipient)
		b.text(d.address)
		b.text(d.facts)
	}
	return wal.Record{Head: b, Body: n.draft.buf}
}

// numberRecord puts the seq into the record of a message.
func numberRecord(head []byte, seq int64) { binary.LittleEndian.PutUint64(head[1:], uint64(seq)) }

// settleRecord is the record of deliveries that were delivered.
func settleRecord(b *batch) wal.Record {
	w := make(fields, 0, 64+len(b.settlements)*1024)
	w = append(w, kindSettle)
	w.time(b.now)
	w.int(int64(len(b.settlements)))
	for i := range b.settlements {
		st := &b.settlements[i]
		w.int(int64(st.Lease.Delivery))
		w.int(int64(st.Reached))
		w.text(string(st.Reason))
		w.int(database.Flag(st.Noticed))
		attempt, has := st.attempt.(string)
		w.int(database.Flag(has))
		w.text(attempt)
	}
	return wal.Record{Head: w}
}

// fields is a record being written: numbers as varints, texts with their length in front.
type fields []byte

func (f *fields) int(n int64) { *f = binary.AppendVarint(*f, n) }

func (f *fields) text(s string) { *f = append(binary.AppendUvarint(*f, uint64(len(s))), s...) }

// time writes microseconds; zero is none.
func (f *fields) time(t time.Time) {
	if t.IsZero() {
		f.int(0)
		return
	}
	f.int(t.UnixMicro() + 1)
}

// errRecord: a record that is whole, by its checksum, and cannot be read.
var errRecord = errors.New("sqlstore: a record of the journal cannot be read")

// reading is a record being read. After an error everything reads as zero.
type reading struct {
	b   []byte
	bad bool
}

func (r *reading) int() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reading) text() string {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > uint64(len(r.b)-size) {
		r.b, r.bad = nil, true
		return ""
	}
	s := string(r.b[size : size+int(n)])
	r.b = r.b[size+int(n):]
	return s
}

func (r *reading) time() time.Time {
	if us := r.int(); us != 0 {
		return time.UnixMicro(us - 1).UTC()
	}
	return time.Time{}
}

// readAccept reads the record of a message without its kind.
func (s *Store) readAccept(payload []byte) (*newMessage, error) {
	if len(payload) < 8 {
		return nil, errRecord
	}
	n, r := &newMessage{draft: &draft{s: s, end: true}}, &reading{b: payload[8:]}
	m := &n.message
	m.ID, m.AcceptedAt, m.Size, m.RulesRevision = queue.ID(r.text()), r.time(), r.int(), r.int()
	n.draft.name, n.draft.size = r.text(), m.Size
	if has, key := r.int(), r.int(); has != 0 {
		n.messageID = key
	}
	n.sender, n.facts = r.text(), r.text()
	count := r.int()
	if r.bad || count < 1 || count > queue.MaxDeliveries {
		return nil, errRecord
	}
	for range count {
		d := newDelivery{site: &siteRow{nextHop: r.text(), requirement: r.text()}}
		d.State = loadedState(r.int())
		d.Due, d.Deadline, d.ExpiresAt = r.time(), r.time(), r.time()
		d.Noticed, d.Reached, d.Reason = r.int() != 0, policy.Level(r.int()), policy.Reason(r.text())
		d.recipient, d.address, d.facts = r.int(), r.text(), r.text()
		if r.bad || !d.State.Waiting() {
			return nil, errRecord
		}
		var err error
		if d.Requirement, err = decodeRequirement(d.site.requirement); err != nil {
			return nil, err
		}
		d.site.key = queue.NewSiteKey(d.site.nextHop, d.Requirement)
		d.Site = d.site.key
		n.deliveries = append(n.deliveries, d)
	}
	if n.draft.name == "" {
		n.draft.buf = r.b
	}
	n.number(int64(binary.LittleEndian.Uint64(payload)))
	return n, nil
}

// readSettle reads the record of deliveries that were delivered, without its kind.
func readSettle(payload []byte) (*batch, error) {
	r := &reading{b: payload}
	b := &batch{now: r.time()}
	for range r.int() {
		st := settlement{Settlement: &queue.Settlement{State: queue.Delivered}}
		st.Lease.Delivery = queue.DeliveryID(r.int())
		st.Reached, st.Reason, st.Noticed = policy.Level(r.int()), policy.Reason(r.text()), r.int() != 0
		if has, text := r.int(), r.text(); has != 0 {
			st.attempt = text
		}
		if r.bad {
			return nil, errRecord
		}
		b.settlements = append(b.settlements, st)
	}
	if r.bad {
		return nil, errRecord
	}
	return b, nil
}

// deliver carries out a settlement of the journal on a delivery that is not in the database.
func (d *newDelivery) deliver(st *settlement, now time.Time) {
	st.Apply(&d.Delivery, now)
	if d.attempt = st.attempt; st.attempt != nil && st.Attempt == nil {
		d.Attempts++ // Apply counts only what it can see
	}
}

// kindError: a record of a kind this release does not know.
func kindError(kind byte) error {
	return fmt.Errorf("%w: a record of the journal has kind %d", queue.ErrNewerForm, kind)
}
