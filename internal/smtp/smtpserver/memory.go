package smtpserver

import (
	"cmp"
	"sync/atomic"
)

// What a session costs in memory at most, until it asks a Memory for more: its buffers, its goroutine, the kernel's
// socket, the Session's part of an ordinary message, and what the garbage collector needs beside them. Measured from
// outside by test/endurance.
const (
	SessionMemory = 48 << 10
	// TLSMemory is what TLS adds: keys, and the record that is being read.
	TLSMemory = 40 << 10
)

// Memory bounds the octets that all content which is coming in holds in buffers, together, so that many slow clients
// cannot fill the machine. Who gets none goes on with less, or refuses; the engine itself then reads through the small
// buffer of an idle connection. A Gate bounds its sessions with another one. Safe for concurrent use.
type Memory struct {
	limit int64
	taken atomic.Int64
	tight atomic.Bool
	ample atomic.Bool
}

// NewMemory bounds it to limit octets; 0 means 64 MiB, a negative number lets nobody have any.
func NewMemory(limit int64) *Memory {
	limit = cmp.Or(limit, 64<<20)
	return &Memory{limit: limit}
}

// Take asks for n octets. Who was given them gives them back with Give.
func (m *Memory) Take(n int) bool { return m.take(n, m.limit) }

// TakeSpare is Take for what only makes things faster: it leaves a quarter for what cannot be done without.
func (m *Memory) TakeSpare(n int) bool { return !m.tight.Load() && m.take(n, m.limit/4*3) }

func (m *Memory) take(n int, limit int64) bool {
	if m.taken.Add(int64(n)) <= limit {
		return true
	}
	m.taken.Add(-int64(n))
	return false
}

// Give gives n octets back.
func (m *Memory) Give(n int) { m.taken.Add(-int64(n)) }

// Taken returns how many octets are taken.
func (m *Memory) Taken() int64 { return m.taken.Load() }

// SetTight says whether the process as a whole has no memory left, whatever was taken here. While it has none a Gate
// admits nobody, and no large message is begun.
func (m *Memory) SetTight(yes bool) { m.tight.Store(yes) }

// SetAmple says whether the process as a whole was measured to use far less than planned.
func (m *Memory) SetAmple(yes bool) { m.ample.Store(yes) }

// overdraw takes up to a quarter more than there is, while memory is ample.
func (m *Memory) overdraw(n int) bool { return m.ample.Load() && m.take(n, m.limit/4*5) }

// Tight reports what SetTight said last.
func (m *Memory) Tight() bool { return m.tight.Load() }

// left is how many octets may still be taken.
func (m *Memory) left() int64 {
	if m.tight.Load() {
		return 0
	}
	return m.limit - m.taken.Load()
}

// share is what somebody has taken of a Memory, in steps. The zero value has a Memory set before its first use.
type share struct {
	of   *Memory
	held int
}

// shareStep is what a share takes at a time.
const shareStep = 4 << 10

// reach takes until n octets are held; false: there is no more.
func (s *share) reach(n int) bool {
	for s.held < n {
		if !s.of.Take(shareStep) {
			return false
		}
		s.held += shareStep
	}
	return true
}

// release gives all back.
func (s *share) release() {
	if s.held > 0 {
		s.of.Give(s.held)
	}
	s.held = 0
}
