package young

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/stored"
	"postern/internal/queue/wal"
)

// Kinds of records in the journal: the first byte. A released kind never changes; what changes meaning is a new kind,
// and one that a release does not know was written by a newer one.
const (
	kindAccept = 1 // a message with its deliveries and its body, or the name of its file
	kindSettle = 2 // deliveries that were delivered
)

// AcceptRecord is the record of a message; NumberRecord completes it.
func AcceptRecord(n *stored.Message) wal.Record {
	m := &n.Message
	b := make(fields, 0, 512+len(n.Facts)+len(n.Deliveries)*512)
	b = append(b, kindAccept, 0, 0, 0, 0, 0, 0, 0, 0) // its seq comes here
	b.text(string(m.ID))
	b.time(m.AcceptedAt)
	b.int(m.Size)
	b.int(m.RulesRevision)
	b.text(n.Body.File)
	key, has := n.MessageIDKey.(int64)
	b.int(stored.Flag(has))
	b.int(key)
	b.text(n.Sender)
	b.text(n.Facts)
	b.int(int64(len(n.Deliveries)))
	for i := range n.Deliveries {
		d := &n.Deliveries[i]
		b.text(d.At.NextHop)
		b.text(d.At.Requirement)
		b.int(stored.State(d.State))
		b.time(d.Due)
		b.time(d.Deadline)
		b.time(d.ExpiresAt)
		b.int(stored.Flag(d.Noticed))
		b.int(int64(d.Reached))
		b.text(string(d.Reason))
		b.int(d.RecipientKey)
		b.text(d.Canonical)
		b.text(d.Facts)
	}
	return wal.Record{Head: b, Body: n.Body.Data}
}

// NumberRecord puts the seq into the record of a message.
func NumberRecord(head []byte, seq int64) { binary.LittleEndian.PutUint64(head[1:], uint64(seq)) }

// SettleRecord is the record of deliveries that were delivered.
func SettleRecord(b *stored.Batch) wal.Record {
	w := make(fields, 0, 64+len(b.Settlements)*1024)
	w = append(w, kindSettle)
	w.time(b.Now)
	w.int(int64(len(b.Settlements)))
	for i := range b.Settlements {
		st := &b.Settlements[i]
		w.int(int64(st.Lease.Delivery))
		w.int(int64(st.Reached))
		w.text(string(st.Reason))
		w.int(stored.Flag(st.Noticed))
		attempt, has := st.Facts.(string)
		w.int(stored.Flag(has))
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

// ErrRecord: a record that is whole, by its checksum, and cannot be read.
var ErrRecord = errors.New("young: a record of the journal cannot be read")

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
func readAccept(payload []byte) (*stored.Message, error) {
	if len(payload) < 8 {
		return nil, ErrRecord
	}
	n, r := &stored.Message{}, &reading{b: payload[8:]}
	m := &n.Message
	m.ID, m.AcceptedAt, m.Size, m.RulesRevision = queue.ID(r.text()), r.time(), r.int(), r.int()
	n.Body.File, n.Body.Size = r.text(), m.Size
	if has, key := r.int(), r.int(); has != 0 {
		n.MessageIDKey = key
	}
	n.Sender, n.Facts = r.text(), r.text()
	count := r.int()
	if r.bad || count < 1 || count > queue.MaxDeliveries {
		return nil, ErrRecord
	}
	for range count {
		d := stored.Delivery{}
		nextHop, requirement := r.text(), r.text()
		d.State = stored.LoadState(r.int())
		d.Due, d.Deadline, d.ExpiresAt = r.time(), r.time(), r.time()
		d.Noticed, d.Reached, d.Reason = r.int() != 0, policy.Level(r.int()), policy.Reason(r.text())
		d.RecipientKey, d.Canonical, d.Facts = r.int(), r.text(), r.text()
		if r.bad || !d.State.Waiting() {
			return nil, ErrRecord
		}
		var err error
		if d.At, d.Requirement, err = stored.KnownSite(nextHop, requirement); err != nil {
			return nil, err
		}
		d.Site = d.At.Key
		n.Deliveries = append(n.Deliveries, d)
	}
	if n.Body.File == "" {
		n.Body.Data = r.b
	}
	n.Number(int64(binary.LittleEndian.Uint64(payload)))
	return n, nil
}

// readSettle reads the record of deliveries that were delivered, without its kind.
func readSettle(payload []byte) (*stored.Batch, error) {
	r := &reading{b: payload}
	b := &stored.Batch{Now: r.time()}
	for range r.int() {
		st := stored.Settlement{Settlement: &queue.Settlement{State: queue.Delivered}}
		st.Lease.Delivery = queue.DeliveryID(r.int())
		st.Reached, st.Reason, st.Noticed = policy.Level(r.int()), policy.Reason(r.text()), r.int() != 0
		if has, text := r.int(), r.text(); has != 0 {
			st.Facts = text
		}
		if r.bad {
			return nil, ErrRecord
		}
		b.Settlements = append(b.Settlements, st)
	}
	if r.bad {
		return nil, ErrRecord
	}
	return b, nil
}

// kindError: a record of a kind this release does not know.
func kindError(kind byte) error {
	return fmt.Errorf("%w: a record of the journal has kind %d", queue.ErrNewerForm, kind)
}
