package resolver

import (
	"container/list"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// How long things are believed. Positive answers: as their TTL says, at most an hour (RFC 8767 §4 lets a cache lower
// it). That there is no such name or record: as the SOA says (RFC 2308 §5). That nobody could tell: a moment, so that a
// broken domain does not cost a full round for every message (RFC 9520 §3.2), and a repaired one is seen soon.
const (
	maxTTL      = time.Hour
	maxNegative = 15 * time.Minute
	noSOA       = 5 * time.Second
	failureTTL  = 2 * time.Second
)

// reply is what a server said, classified: an answer, a CNAME, or that there is none. Nobody changes it.
type reply struct {
	records  []wire.RR // of the answer section
	nxdomain bool      // the name at the end of the chain does not exist
	nodata   bool      // the name at the end of the chain exists and has no such record
	secure   bool
	ttl      time.Duration
	expires  time.Time
	size     int // octets on the wire
}

// cache keeps replies and failures, least recently used out first. The zero value with a limit is ready.
type cache struct {
	limit int // octets

	mu      sync.Mutex
	entries map[question]*list.Element
	recent  list.List // of *entry, newest first
	size    int
}

type entry struct {
	q       question
	reply   *reply
	err     error
	expires time.Time
	size    int
}

func (c *cache) get(q question, now time.Time) (*reply, error, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.entries[q]
	if el == nil {
		return nil, nil, false
	}
	e := el.Value.(*entry)
	// An entry from the future of a clock that jumped back is as good as expired.
	if !now.Before(e.expires) || e.expires.Sub(now) > maxTTL {
		c.drop(el)
		return nil, nil, false
	}
	c.recent.MoveToFront(el)
	return e.reply, e.err, true
}

// put keeps a reply until it expires, or an error for a moment. A reply of TTL 0 is not kept.
func (c *cache) put(q question, r *reply, err error, now time.Time) {
	e := &entry{q: q, reply: r, err: err, expires: now.Add(failureTTL), size: 512}
	if r != nil {
		e.expires = r.expires
		e.size += 4 * r.size // parsed records take about so much more than packed ones
	}
	if !now.Before(e.expires) || e.size > c.limit/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[question]*list.Element)
	}
	if old := c.entries[q]; old != nil {
		c.drop(old)
	}
	c.entries[q] = c.recent.PushFront(e)
	c.size += e.size
	for c.size > c.limit {
		c.drop(c.recent.Back())
	}
}

// drop removes el; the lock is held.
func (c *cache) drop(el *list.Element) {
	e := c.recent.Remove(el).(*entry)
	delete(c.entries, e.q)
	c.size -= e.size
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.recent.Init()
	c.size = 0
}
