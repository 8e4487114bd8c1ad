package smtpserver

import "sync/atomic"

// Memory bounds the octets that all content which is coming in holds in buffers, together, so that many slow clients
// cannot fill the machine. Who gets none goes on with less, or refuses; the engine itself then reads through the small
// buffer of an idle connection. Safe for concurrent use.
type Memory struct {
	limit int64
	taken atomic.Int64
}

// NewMemory bounds it to limit octets; 0 means 64 MiB, a negative number lets nobody have any.
func NewMemory(limit int64) *Memory {
	or(&limit, 64<<20)
	return &Memory{limit: limit}
}

// Take asks for n octets. Who was given them gives them back with Give.
func (m *Memory) Take(n int) bool {
	if m.taken.Add(int64(n)) <= m.limit {
		return true
	}
	m.taken.Add(-int64(n))
	return false
}

// Give gives n octets back.
func (m *Memory) Give(n int) { m.taken.Add(-int64(n)) }

// Taken returns how many octets are taken.
func (m *Memory) Taken() int64 { return m.taken.Load() }
