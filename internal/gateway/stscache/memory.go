package stscache

import (
	"container/list"
	"sync"
	"time"

	"postern/internal/mail"
)

// known is what memory holds of a domain at a moment. It never changes.
type known struct {
	domain mail.Domain
	policy *kept // nil: none
	note   Note  // why there is none, as the last asking said
	rest   time.Time
	// Rest is until when the same is not asked again where there is none, and tried when the last asking ended.
	tried  time.Time
	loaded time.Time // when the store said so
	order  uint64    // of two at once the later one counts
}

// size is an estimate of what k takes in memory, its place in map and list included.
func (k *known) size() int64 {
	n := 300 + 2*len(k.domain.String()) + len(k.note.Text)
	if k.policy == nil {
		return int64(n)
	}
	n += 300 + len(k.policy.ID) + len(k.policy.FaultText)
	for _, pattern := range k.policy.MX {
		n += 40 + len(pattern)
	}
	for _, odd := range k.policy.Oddities {
		n += 16 + len(odd)
	}
	return int64(n)
}

// memory holds what was asked for last. Safe for concurrent use.
type memory struct {
	most  int
	bytes int64

	mu     sync.Mutex // guards all below
	places map[mail.Domain]*list.Element
	recent *list.List // of *known, the last used first
	held   int64
	order  uint64
	used   map[mail.Domain]time.Time // what flush is to write down
}

func newMemory(most int, bytes int64) *memory {
	return &memory{most: most, bytes: bytes, places: map[mail.Domain]*list.Element{}, recent: list.New(),
		used: map[mail.Domain]time.Time{}}
}

// next returns a number that orders what is put: it is taken before the store is read, and after it was written.
func (m *memory) next() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order++
	return m.order
}

// get returns what is held of a domain, nil for nothing.
func (m *memory) get(domain mail.Domain) *known {
	m.mu.Lock()
	defer m.mu.Unlock()
	place := m.places[domain]
	if place == nil {
		return nil
	}
	m.recent.MoveToFront(place)
	return place.Value.(*known)
}

// put holds k, unless something later is held, and returns what is held then. What was not used for longest goes.
func (m *memory) put(k *known) *known {
	m.mu.Lock()
	defer m.mu.Unlock()
	if place := m.places[k.domain]; place != nil {
		was := place.Value.(*known)
		if was.order > k.order {
			return was
		}
		m.drop(place)
	}
	m.places[k.domain] = m.recent.PushFront(k)
	m.held += k.size()
	for m.recent.Len() > m.most || m.held > m.bytes && m.recent.Len() > 1 {
		m.drop(m.recent.Back())
	}
	return k
}

func (m *memory) drop(place *list.Element) {
	k := m.recent.Remove(place).(*known)
	delete(m.places, k.domain)
	m.held -= k.size()
}

// touch notes that a policy is used, once a day.
func (m *memory) touch(k *kept, domain mail.Domain, now time.Time) {
	if now.Sub(k.Used) < day {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.used) < maxUsed {
		m.used[domain] = now
	}
}

// maxUsed is how many uses wait to be written down; more are noted the next time.
const maxUsed = 1000

func (m *memory) takeUsed() map[mail.Domain]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.used
	m.used = map[mail.Domain]time.Time{}
	return out
}
