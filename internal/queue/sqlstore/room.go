package sqlstore

import (
	"fmt"

	"postern/internal/queue"
)

// New mail leaves this much of the disk free, on a small one an eighth. What is in the queue needs it: a delivery that
// cannot be recorded holds up everything behind it, and the log that records it is emptied into a database that grows.
const (
	reserve      = 128 << 20
	reserveShare = 8
)

// room refuses new mail when only the reserve is left.
func (s *Store) room() error {
	free, total, err := s.cfg.disk.space(s.cfg.Dir)
	if err != nil || free >= min(reserve, total/reserveShare) {
		return nil // where nobody can tell, writing will
	}
	return fmt.Errorf("%w: the last %d MiB are kept for the mail in the queue", queue.ErrFull, free>>20)
}
