package sqlstore

import (
	"fmt"
	"time"

	"postern/internal/queue"
)

// New mail leaves this much of the disk free, on a small one an eighth. What is in the queue needs it: a delivery that
// cannot be recorded holds up everything behind it, and the log that records it is emptied into a database that grows.
const (
	reserve      = 128 << 20
	reserveShare = 8
)

// roomLasts is how long it counts that there was room: less than the disk can be filled in.
const roomLasts = 50 * time.Millisecond

// room refuses new mail when only the reserve is left.
func (s *Store) room() error {
	now := time.Now()
	s.mu.Lock()
	recent := now.Sub(s.roomy) < roomLasts
	s.mu.Unlock()
	if recent {
		return nil
	}
	free, total, err := s.cfg.disk.space(s.cfg.Dir)
	if err != nil || free >= min(reserve, total/reserveShare) {
		s.mu.Lock()
		s.roomy = now
		s.mu.Unlock()
		return nil // where nobody can tell, writing will
	}
	return fmt.Errorf("%w: the last %d MiB are kept for the mail in the queue", queue.ErrFull, free>>20)
}
