package recipients

import (
	"sync"
	"time"

	"postern/internal/smtp"
)

// memory is what servers have said, at most limit names that exist and as many that do not. What was learnt first goes
// first. The zero memory with a limit is ready. Safe for concurrent use.
type memory struct {
	limit int

	mu             sync.Mutex // guards what follows
	known, unknown shelf
}

// shelf keeps the names of one kind.
type shelf struct {
	at    map[string]said
	order []string // as they came; a ring once it is full
	next  int      // of order, the oldest then
}

type said struct {
	refuse *smtp.Reply
	until  time.Time
}

// recall returns what was said of a name; ok is false where nothing holds any more. The reply is nil for one that
// exists.
func (m *memory) recall(name string, now time.Time) (refuse *smtp.Reply, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range [...]*shelf{&m.known, &m.unknown} {
		if e, there := s.at[name]; there && now.Before(e.until) {
			return e.refuse, true
		}
	}
	return nil, false
}

// keep remembers what was said of a name.
func (m *memory) keep(name string, refuse *smtp.Reply, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, other := &m.known, &m.unknown
	if refuse != nil {
		at, other = other, at
	}
	delete(other.at, name)
	at.put(name, said{refuse, until}, m.limit)
}

func (s *shelf) put(name string, e said, limit int) {
	if s.at == nil {
		s.at = map[string]said{}
	}
	if _, there := s.at[name]; !there {
		if len(s.order) < limit {
			s.order = append(s.order, name)
		} else {
			delete(s.at, s.order[s.next])
			s.order[s.next] = name
			s.next = (s.next + 1) % limit
		}
	}
	s.at[name] = e
}

// forget forgets everything.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known, m.unknown = shelf{}, shelf{}
}
