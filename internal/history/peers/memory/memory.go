// Package memory remembers peers: it hears of every attempt, keeps one record for each address, and answers what is
// known of one while a ladder is being climbed.
//
// The records are held in memory, at most so many, and copied to a Book in the background. So hearing of an attempt
// costs a few microseconds and never waits for a disk, and what the disk cannot take is only remembered until the next
// start. When there are too many, those that have not answered for longest are forgotten.
package memory

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/history/peers"
)

// Config is what a Memory needs. Book and Sink must be set.
type Config struct {
	Book *Book
	// Sink hears of changes and warnings, from the goroutine of Run.
	Sink    event.Sink
	Ratchet peers.Ratchet
	// Most bounds the records; 0 means 20,000, about 30 MB. A quarter more may be held for a while.
	Most int
}

// Memory remembers. It is an event.Sink. Safe for concurrent use.
type Memory struct {
	cfg  Config
	wake chan struct{} // capacity 1: something is to be told
	disk sync.Mutex    // one conversation with the book at a time; taken before mu

	mu      sync.Mutex // guards what follows
	records map[peers.Key]*peers.Record
	dirty   map[peers.Key]bool
	losses  peers.Losses
	news    []event.Event
	untold  int // news that found no room
}

// Bounds of the work in one go, and its pauses.
const (
	maxNews    = 1000
	portion    = 500
	flushPause = 10 * time.Second
	watchPause = time.Hour
)

// Open reads the book.
func Open(ctx context.Context, cfg Config) (*Memory, error) {
	if cfg.Most == 0 {
		cfg.Most = 20_000
	}
	m := &Memory{cfg: cfg, wake: make(chan struct{}, 1), records: map[peers.Key]*peers.Record{},
		dirty: map[peers.Key]bool{}}
	list, err := cfg.Book.Peers(ctx)
	if err != nil {
		return nil, fmt.Errorf("what is remembered of peers cannot be read: %w", err)
	}
	for i := range list[:min(len(list), cfg.Most)] {
		m.records[list[i].Key()] = &list[i]
	}
	return m, nil
}

// Emit takes what an attempt saw. Other events do nothing.
func (m *Memory) Emit(e event.Event) {
	tried, ok := e.(event.Attempted)
	if !ok || tried.Attempt == nil {
		return
	}
	seen := peers.Gather(tried.Attempt, tried.Requires > 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range seen {
		m.observe(&seen[i], tried.Leg)
	}
	if len(m.records) > m.cfg.Most+m.cfg.Most/4 {
		m.prune()
	}
}

// observe updates one record. The caller holds mu.
func (m *Memory) observe(o *peers.Observation, leg event.Leg) {
	var old peers.Record
	if r := m.records[o.Key]; r != nil {
		old = *r
	}
	next, changes := peers.Observe(old, *o)
	m.records[o.Key] = &next
	m.dirty[o.Key] = true
	lost := slices.ContainsFunc(changes, func(c peers.Change) bool { return c.Kind == peers.TLSLost })
	for _, c := range changes {
		m.tell(m.changed(&old, c, o))
	}
	if leg == event.OutWorld && m.losses.Add(*o, lost) {
		m.tell(event.Warned{What: "starttls lost everywhere",
			Text: "several unrelated mail servers that offered TLS stopped within an hour, and none has it any " +
				"more: something on our own side takes STARTTLS out of SMTP",
			Hint: "look at our own firewall and antivirus: turn off SMTP inspection (\"fixup\", \"ESMTP " +
				"inspection\") for outgoing port 25"})
	}
	if o.Forced {
		m.watch(&next, o.At)
	}
}

// changed is the event of a change. r is the record before it.
func (m *Memory) changed(r *peers.Record, c peers.Change, o *peers.Observation) event.PeerChanged {
	e := event.PeerChanged{Host: o.Host, IP: o.Addr.Addr(), Port: o.Addr.Port(), Change: string(c.Kind),
		Before: c.Before, After: c.After, UnderRule: o.Forced || !r.UnderRule.IsZero()}
	if c.Kind != peers.TLSLost {
		return e
	}
	mode, consistent := m.cfg.Ratchet.Mode, peers.Consistent(*r, m.cfg.Ratchet)
	switch stand := peers.Judge(*r, m.cfg.Ratchet, c.At); {
	case !stand.HoldUntil.IsZero():
		e.Mail = "ordinary mail waits for TLS until " + stand.HoldUntil.UTC().Format(time.RFC3339)
	case mode == peers.Warn && consistent:
		e.Mail = "ordinary mail goes in plaintext meanwhile"
	}
	return e
}

// watch tells when the certificate of a partner under a rule runs out, once for all addresses that present it. The
// caller holds mu.
func (m *Memory) watch(r *peers.Record, now time.Time) {
	next, change, due := peers.Expiring(*r, now)
	if !due {
		return
	}
	for key, other := range m.records {
		if other.Certificate != nil && other.Certificate.SHA256 == next.Certificate.SHA256 {
			noted := *other
			noted.Warned = next.Warned
			noted.Changes = peers.Kept(noted.Changes, change)
			m.records[key], m.dirty[key] = &noted, true
		}
	}
	m.tell(event.PeerChanged{Host: r.Host, IP: r.IP, Port: r.Port, Change: string(change.Kind), Before: change.Before,
		After: change.After, UnderRule: true})
}

// tell keeps an event for Run to emit. The caller holds mu.
func (m *Memory) tell(e event.Event) {
	if len(m.news) >= maxNews {
		m.untold++
		return
	}
	m.news = append(m.news, e)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// prune forgets those that have not answered for longest. The caller holds mu.
func (m *Memory) prune() {
	all := slices.Collect(maps.Values(m.records))
	slices.SortFunc(all, func(x, y *peers.Record) int { return y.LastSeen.Compare(x.LastSeen) })
	for _, r := range all[m.cfg.Most:] {
		delete(m.records, r.Key())
		delete(m.dirty, r.Key())
	}
}

// sorted lists the records, the one that answered last first. The caller holds mu.
func (m *Memory) sorted() []peers.Record {
	out := make([]peers.Record, 0, len(m.records))
	for _, r := range m.records {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(x, y peers.Record) int { return y.LastSeen.Compare(x.LastSeen) })
	return out
}

// Missing says what it means that an address has no TLS now.
func (m *Memory) Missing(host string, addr netip.AddrPort) peers.Stand {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[peers.Key{Host: host, Addr: addr}]
	if r == nil {
		return peers.Stand{}
	}
	return peers.Judge(*r, m.cfg.Ratchet, time.Now())
}

// List returns every record, the one that answered last first. The caller changes nothing in them.
func (m *Memory) List() []peers.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sorted()
}
