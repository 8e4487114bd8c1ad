package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"postern/internal/policy"
	"postern/internal/queue"
)

// newMessage is a submission made ready for the writer: everything that can be computed before is.
type newMessage struct {
	sub        *queue.Submission
	draft      *draft
	facts      string
	sender     string
	messageID  any // column value
	deliveries []newDelivery
	seq        int64 // given by the writer
}

type newDelivery struct {
	*queue.NewDelivery
	state     queue.State
	site      *siteRow // not yet looked up: key, nextHop and requirement only
	recipient int64
	address   string
	facts     string
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
	m := &sub.Message
	n := &newMessage{sub: sub, draft: d, sender: strings.ToLower(m.Envelope.From.Canonical())}
	if id := queue.TrimMessageID(m.MessageID); id != "" {
		n.messageID = dayKey(m.AcceptedAt, hash(id))
	}
	var err error
	if n.facts, err = encode(formOfMessage(m)); err != nil {
		return nil, err
	}
	for i := range sub.Deliveries {
		nd := newDelivery{NewDelivery: &sub.Deliveries[i], state: sub.Deliveries[i].State}
		if nd.state == 0 {
			nd.state = queue.Queued
		}
		nd.recipient = dayKey(m.AcceptedAt, addressHash(nd.Recipient.Address))
		nd.address = strings.ToLower(nd.Recipient.Address.Canonical())
		if nd.facts, err = encode(formOfDelivery(&nd.Delivery)); err != nil {
			return nil, err
		}
		if nd.site, err = newSite(nd.NextHop, nd.Requirement); err != nil {
			return nil, err
		}
		n.deliveries = append(n.deliveries, nd)
	}
	return n, nil
}

// settled gives the caller's structs what only the store knew.
func (n *newMessage) settled() {
	n.draft.accepted()
	n.sub.Message.Size = n.draft.size
	for i := range n.sub.Deliveries {
		n.sub.Deliveries[i].ID = deliveryID(n.seq, i)
	}
}

// deliveryID numbers the deliveries of a message.
func deliveryID(seq int64, i int) queue.DeliveryID {
	return queue.DeliveryID(seq*queue.MaxDeliveries + int64(i))
}

// seqOf is the message of a delivery.
func seqOf(id queue.DeliveryID) int64 { return int64(id) / queue.MaxDeliveries }

// Accept stores one message (G1).
func (s *Store) Accept(ctx context.Context, sub *queue.Submission) error {
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
	n, err := s.ready(sub)
	if err != nil {
		return err
	}
	if err := s.do(ctx, len(n.draft.buf), func(t *txn) error { return t.insert(n) }); err != nil {
		return err
	}
	n.settled()
	return nil
}

// insert writes the rows of a message.
func (t *txn) insert(n *newMessage) error {
	m := &n.sub.Message
	if exists, err := t.c.number(context.Background(), "SELECT seq FROM message WHERE id = ?", string(m.ID)); err != nil {
		return err
	} else if exists != 0 {
		return fmt.Errorf("sqlstore: message %s exists", m.ID)
	}
	t.totals.lastSeq++
	n.seq = t.totals.lastSeq
	t.totals.accepted(m.AcceptedAt)
	t.totals.bodyBytes += n.draft.size
	var file any
	if n.draft.name != "" {
		file = n.draft.name
	} else if err := t.exec("INSERT INTO body (seq, data) VALUES (?, ?)", n.seq, n.draft.blob()); err != nil {
		return err
	}
	err := t.exec("INSERT INTO message (seq, id, accepted, open, size, revision, file, message_id, sender, facts)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", n.seq, string(m.ID), m.AcceptedAt.UnixMicro(), int64(len(n.deliveries)),
		n.draft.size, m.RulesRevision, file, n.messageID, n.sender, n.facts)
	for i := range n.deliveries {
		if err == nil {
			err = t.insertDelivery(deliveryID(n.seq, i), &n.deliveries[i])
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

func (t *txn) insertDelivery(id queue.DeliveryID, d *newDelivery) error {
	site, err := t.site(d.site)
	if err != nil {
		return err
	}
	t.refs[site.id]++
	t.totals.states[storedState(d.state)]++
	return t.exec("INSERT INTO delivery (id, site, state, due, deadline, expires, attempts, noticed, reached, reason,"+
		" recipient, address, facts) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)", int64(id), site.id,
		storedState(d.state), stamp(d.Due), stamp(d.Deadline), stamp(d.ExpiresAt), flag(d.Noticed), int64(d.Reached),
		string(d.Reason), d.recipient, d.address, d.facts)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
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
	err = t.c.query(context.Background(), "SELECT id, failures != 0 OR since IS NOT NULL OR retry_at IS NOT NULL OR"+
		" last IS NOT NULL FROM site WHERE key = ?", func(r row) error {
		found = &siteRow{id: r.int(0), key: key, hasState: r.int(1) != 0}
		return errStop
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
