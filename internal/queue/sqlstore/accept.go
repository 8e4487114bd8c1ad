package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/database"
)

// newMessage is a message made ready to be stored: everything that can be computed before is. It shares nothing with the
// submission that could change.
type newMessage struct {
	message    queue.Message
	draft      *draft
	facts      string
	sender     string
	messageID  any // column value
	deliveries []newDelivery
	seq        int64 // given when it is stored
}

// newDelivery is a delivery of a newMessage, as it stands: with the outcome, when it ended before it came into the
// database.
type newDelivery struct {
	queue.Delivery
	site      *siteRow // not yet looked up: key, nextHop and requirement only
	recipient int64
	address   string
	facts     string
	attempt   any // column value of the one attempt made, nil if there was none
}

// ready prepares a submission; a large body is durable afterwards.
func (s *Store) ready(sub *queue.Submission) (*newMessage, error) {
	if err := sub.Check(); err != nil {
		return nil, err
	}
	d, ok := sub.Body.(*draft)
	if !ok || d.s != s {
		return nil, fmt.Errorf("sqlstore: the body of message %s is not a draft of this store", sub.Message.ID)
	}
	if err := d.seal(); err != nil {
		return nil, err
	}
	n := &newMessage{message: sub.Message, draft: d, sender: strings.ToLower(sub.Message.Envelope.From.Canonical()),
		deliveries: make([]newDelivery, len(sub.Deliveries))}
	m := &n.message
	m.Size, m.AcceptedAt = d.size, queue.Kept(m.AcceptedAt)
	if id := queue.TrimMessageID(m.MessageID); id != "" {
		n.messageID = int64(hash(id) & keyHash)
	}
	var err error
	form := formOfMessage(m)
	form.Sum = &d.sum
	if n.facts, err = encode(form); err != nil {
		return nil, err
	}
	for i := range sub.Deliveries {
		if err := n.deliveries[i].ready(&sub.Deliveries[i], m); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// ready prepares a delivery of m.
func (d *newDelivery) ready(from *queue.NewDelivery, m *queue.Message) (err error) {
	d.Delivery = from.Delivery
	d.Message, d.AcceptedAt, d.FinishedAt, d.Attempts, d.History = m.ID, m.AcceptedAt, time.Time{}, 0, nil
	d.Due, d.Deadline, d.ExpiresAt = queue.Kept(d.Due), queue.Kept(d.Deadline), queue.Kept(d.ExpiresAt)
	if d.State == 0 {
		d.State = queue.Queued
	}
	d.Requirement = policy.Combine(d.Requirement)
	d.recipient = int64(addressHash(d.Recipient.Address))
	d.address = strings.ToLower(d.Recipient.Address.Canonical())
	if d.facts, err = encode(formOfDelivery(&d.Delivery)); err != nil {
		return err
	}
	if d.site, err = newSite(from.NextHop, d.Requirement); err != nil {
		return err
	}
	d.Site = d.site.key
	return nil
}

// number gives a message its place in the order of acceptance, and its deliveries theirs; their index keys follow it.
func (n *newMessage) number(seq int64) {
	n.seq = seq
	if key, has := n.messageID.(int64); has {
		n.messageID = keyOf(seq, key)
	}
	for i := range n.deliveries {
		d := &n.deliveries[i]
		d.ID, d.recipient = deliveryID(seq, i), keyOf(seq, d.recipient)
	}
}

// open counts the deliveries that wait.
func (n *newMessage) open() int {
	count := 0
	for i := range n.deliveries {
		if n.deliveries[i].State.Waiting() {
			count++
		}
	}
	return count
}

// tell gives the caller's structs what only the store knew.
func (n *newMessage) tell(sub *queue.Submission) {
	sub.Message.Size = n.message.Size
	for i := range sub.Deliveries {
		sub.Deliveries[i].ID = deliveryID(n.seq, i)
	}
}

// deliveryID numbers the deliveries of a message.
func deliveryID(seq int64, i int) queue.DeliveryID {
	return queue.DeliveryID(seq*queue.MaxDeliveries + int64(i))
}

// seqOf is the message of a delivery.
func seqOf(id queue.DeliveryID) int64 { return int64(id) / queue.MaxDeliveries }

// Accept stores one message (G1): it is in the journal when Accept returns, and comes into the database later.
func (s *Store) Accept(ctx context.Context, sub *queue.Submission) (err error) {
	defer func() { s.noteRoom(err) }()
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if s.broken.Load() {
		return queue.ErrBroken
	}
	if err := s.room(); err != nil {
		return err
	}
	if err := s.breathe(); err != nil {
		return err
	}
	n, err := s.ready(sub)
	if err != nil {
		return err
	}
	if err := s.journalize(ctx, &entry{accept: n}); err != nil {
		return err
	}
	n.draft.handOver()
	n.tell(sub)
	return nil
}

// insert stores a message that was not in the journal.
func (t *txn) insert(n *newMessage) error {
	m := &n.message
	exists := !t.enter(m.ID)
	if !exists {
		seq, err := t.c.Number(context.Background(), "SELECT seq FROM message WHERE id = ?", string(m.ID))
		if err != nil {
			return err
		}
		exists = seq != 0
	}
	if exists {
		return fmt.Errorf("sqlstore: message %s exists", m.ID)
	}
	t.s.mu.Lock()
	n.number(t.s.order.next(m.AcceptedAt))
	t.s.mu.Unlock()
	return t.store(n)
}

// enter takes an ID until the transaction ends, so that no mail comes into the journal under it; false means that it is
// taken.
func (t *txn) enter(id queue.ID) bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	y := &t.s.young
	if y.has(id) {
		return false
	}
	y.entering[id] = true
	t.entered = append(t.entered, id)
	t.undo = append(t.undo, func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		delete(y.entering, id)
	})
	return true
}

// leave gives up what enter took: the database tells now what is taken. The caller holds mu.
func (t *txn) leave() {
	for _, id := range t.entered {
		delete(t.s.young.entering, id)
		t.s.young.inserts++
	}
}

// store writes the rows of a message, as it stands.
func (t *txn) store(n *newMessage) error {
	m, open := &n.message, n.open()
	t.s.mu.Lock()
	t.s.young.floor = max(t.s.young.floor, m.ID)
	t.s.mu.Unlock()
	var file any
	if open > 0 {
		t.totals.bodyBytes += m.Size
		if n.draft.name != "" {
			file = n.draft.name
		} else if err := t.exec("INSERT INTO body (seq, data) VALUES (?, ?)", n.seq, n.draft.blob()); err != nil {
			return err
		}
	}
	err := t.exec("INSERT INTO message (seq, id, accepted, open, size, revision, file, message_id, sender, facts)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", n.seq, string(m.ID), m.AcceptedAt.UnixMicro(), int64(open), m.Size,
		m.RulesRevision, file, n.messageID, n.sender, n.facts)
	for i := range n.deliveries {
		if err == nil {
			err = t.insertDelivery(&n.deliveries[i])
		}
	}
	return err
}

// blob is a small body as a column value; an empty one is not NULL.
func (d *draft) blob() []byte {
	if d.buf == nil {
		return []byte{}
	}
	return d.buf
}

func (t *txn) insertDelivery(d *newDelivery) error {
	site, err := t.site(d.site)
	if err != nil {
		return err
	}
	d.site.id = site.id
	t.refs[site.id]++
	t.totals.states[storedState(d.State)]++
	if d.State.Waiting() {
		t.stir(d.Site)
	}
	if d.attempt != nil {
		slot := int64(d.ID) * slots
		if err := t.exec("INSERT INTO attempt (id, facts) VALUES (?, ?)", slot, d.attempt); err != nil {
			return err
		}
	}
	return t.exec("INSERT INTO delivery (id, site, state, due, deadline, expires, finished, attempts, noticed, reached,"+
		" reason, recipient, address, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", int64(d.ID), site.id,
		storedState(d.State), database.Stamp(d.Due), database.Stamp(d.Deadline), database.Stamp(d.ExpiresAt), database.Stamp(d.FinishedAt), int64(d.Attempts),
		database.Flag(d.Noticed), int64(d.Reached), string(d.Reason), d.recipient, d.address, d.facts)
}

// siteRow is a row of the site table as the writer remembers it.
type siteRow struct {
	id          int64
	key         queue.SiteKey
	nextHop     string
	requirement string // JSON
	hasState    bool   // any of the state columns is set
}

// sitesKept bounds the writer's memory of sites.
const sitesKept = 8192

// newSite describes a site that may have to be made.
func newSite(nextHop string, r policy.Requirement) (*siteRow, error) {
	text, err := encode(policy.Combine(r))
	return &siteRow{key: queue.NewSiteKey(nextHop, r), nextHop: nextHop, requirement: text}, err
}

// site finds or makes the row of a site.
func (t *txn) site(want *siteRow) (*siteRow, error) {
	found, err := t.findSite(want.key)
	if err != nil || found != nil {
		return found, err
	}
	err = t.exec("INSERT INTO site (key, next_hop, requirement, refs, failures) VALUES (?, ?, ?, 0, 0)",
		string(want.key), want.nextHop, want.requirement)
	if err != nil {
		return nil, err
	}
	return t.findSite(want.key)
}

// findSite finds the row of a site; nil if there is none.
func (t *txn) findSite(key queue.SiteKey) (found *siteRow, err error) {
	if r := t.sites[key]; r != nil {
		return r, nil
	}
	err = t.c.Query(context.Background(), "SELECT id, failures != 0 OR since IS NOT NULL OR retry_at IS NOT NULL OR"+
		" last IS NOT NULL FROM site WHERE key = ?", func(r database.Row) error {
		found = &siteRow{id: r.Int(0), key: key, hasState: r.Int(1) != 0}
		return database.ErrStop
	}, string(key))
	if err != nil || found == nil {
		return nil, err
	}
	if len(t.sites) >= sitesKept {
		clear(t.sites)
	}
	t.sites[key] = found
	return found, nil
}
