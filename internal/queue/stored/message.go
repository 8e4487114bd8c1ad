package stored

import (
	"hash/crc32"
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
)

// Body is the content of a message: data, or the file that has it.
type Body struct {
	File string // "": it is Data
	Data []byte
	Size int64
	Sum  Sum
}

// Blob is Data as an argument; an empty one is not NULL.
func (b *Body) Blob() []byte {
	if b.Data == nil {
		return []byte{}
	}
	return b.Data
}

// Message is a message made ready to be stored: everything that can be computed before is. It shares nothing with the
// submission that could change.
type Message struct {
	queue.Message
	Body         Body
	Facts        string
	Sender       string // canonical, lower case
	MessageIDKey any    // an argument
	Deliveries   []Delivery
	Seq          int64 // given when it is stored
}

// Delivery is a delivery of a Message, as it stands: with the outcome, when it ended before it came into the database.
type Delivery struct {
	queue.Delivery
	At           *Site // Key, NextHop and Requirement only, until it is looked up
	RecipientKey int64
	Canonical    string // address, lower case
	Facts        string
	Tried        any // argument of the one attempt made, nil if there was none
}

// Sum is the checksum of a body, which is stored with its message and held against the body before it is sent: what a
// disk or a person changed must not go out under a sender's name.
//
// It is CRC-32C. That finds every change of up to 32 bits in a row and misses one of 4,000 million others, and
// processors have an instruction for it: it costs a microsecond for a message and some 10 ms for the largest. A
// cryptographic hash would cost ten times that and guard against nothing more: whoever can write to the folder can
// write the checksum too.
type Sum uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// With is the sum after so much more of the body.
func (s Sum) With(p []byte) Sum { return Sum(crc32.Update(uint32(s), castagnoli, p)) }

// Ready prepares a submission whose body is on stable storage or is data.
func Ready(sub *queue.Submission, body Body) (*Message, error) {
	n := &Message{Message: sub.Message, Body: body, Sender: sub.Message.Envelope.From.Folded(),
		Deliveries: make([]Delivery, len(sub.Deliveries))}
	m := &n.Message
	m.Size, m.AcceptedAt = body.Size, queue.Kept(m.AcceptedAt)
	if id := queue.TrimMessageID(m.MessageID); id != "" {
		n.MessageIDKey = int64(Hash(id) & KeyHash)
	}
	var err error
	form := formOfMessage(m)
	form.Sum = &body.Sum
	if n.Facts, err = Encode(form); err != nil {
		return nil, err
	}
	for i := range sub.Deliveries {
		if err := n.Deliveries[i].ready(&sub.Deliveries[i], m); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// ready prepares a delivery of m.
func (d *Delivery) ready(from *queue.NewDelivery, m *queue.Message) (err error) {
	d.Delivery = from.Delivery
	d.Message, d.AcceptedAt, d.FinishedAt, d.Attempts, d.History = m.ID, m.AcceptedAt, time.Time{}, 0, nil
	d.Due, d.Deadline, d.ExpiresAt = queue.Kept(d.Due), queue.Kept(d.Deadline), queue.Kept(d.ExpiresAt)
	if d.State == 0 {
		d.State = queue.Queued
	}
	d.Requirement = policy.Combine(d.Requirement)
	d.RecipientKey = int64(AddressHash(d.Recipient.Address))
	d.Canonical = d.Recipient.Address.Folded()
	if d.Facts, err = Encode(formOfDelivery(&d.Delivery)); err != nil {
		return err
	}
	if d.At, err = NewSite(from.NextHop, d.Requirement); err != nil {
		return err
	}
	d.Site = d.At.Key
	return nil
}

// Number gives a message its place in the order of acceptance, and its deliveries theirs; their index keys follow it.
func (n *Message) Number(seq int64) {
	n.Seq = seq
	if key, has := n.MessageIDKey.(int64); has {
		n.MessageIDKey = KeyOf(seq, key)
	}
	for i := range n.Deliveries {
		d := &n.Deliveries[i]
		d.ID, d.RecipientKey = ID(seq, i), KeyOf(seq, d.RecipientKey)
	}
}

// Open counts the deliveries that wait.
func (n *Message) Open() int {
	count := 0
	for i := range n.Deliveries {
		if n.Deliveries[i].State.Waiting() {
			count++
		}
	}
	return count
}

// Tell gives the caller's structs what only the store knew.
func (n *Message) Tell(sub *queue.Submission) {
	sub.Message.Size = n.Size
	for i := range sub.Deliveries {
		sub.Deliveries[i].ID = ID(n.Seq, i)
	}
}

// Site is a row of the site table.
type Site struct {
	ID          int64 // 0: not yet looked up
	Key         queue.SiteKey
	NextHop     string
	Requirement string // JSON
	HasState    bool   // any of the state columns is set
}

// NewSite describes a site that may have to be made.
func NewSite(nextHop string, r policy.Requirement) (*Site, error) {
	text, err := Encode(policy.Combine(r))
	return &Site{Key: queue.NewSiteKey(nextHop, r), NextHop: nextHop, Requirement: text}, err
}

// KnownSite is a site as it was written: its requirement must be one that this release knows.
func KnownSite(nextHop, text string) (*Site, policy.Requirement, error) {
	r, err := requirement(text)
	if err != nil {
		return nil, r, err
	}
	return &Site{Key: queue.NewSiteKey(nextHop, r), NextHop: nextHop, Requirement: text}, r, nil
}

// Deliver carries out a settlement on a delivery that is not in the database yet.
func (d *Delivery) Deliver(st *Settlement, now time.Time) {
	st.Apply(&d.Delivery, now)
	if d.Tried = st.Facts; st.Facts != nil && st.Attempt == nil {
		d.Attempts++ // Apply counts only what it can see
	}
}
