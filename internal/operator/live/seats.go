package live

import (
	"errors"
	"sync"
)

// ErrStreams: an account watches as often as it may, or as many watch as may in all.
var ErrStreams = errors.New("as many live pages and streams are open as may be (admin.streams for one account); " +
	"close one, or try again in a moment")

// seats are places for those who watch. Safe for concurrent use.
type seats struct {
	most, ofOne int

	mu    sync.Mutex
	taken int
	by    map[string]int
}

func newSeats(most, ofOne int) *seats {
	if most == 0 {
		most = 32
	}
	if ofOne == 0 {
		ofOne = 8
	}
	return &seats{most: most, ofOne: ofOne, by: map[string]int{}}
}

// take takes a place for an account, until leave is called.
func (s *seats) take(account string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.most || s.by[account] >= s.ofOne {
		return nil, ErrStreams
	}
	s.taken++
	s.by[account]++
	return func() { s.leave(account) }, nil
}

func (s *seats) leave(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.by[account]--; s.by[account] == 0 {
		delete(s.by, account)
	}
}

// MayWatch returns ErrStreams while Watch would.
func (d LiveDesk) MayWatch() error {
	leave, err := d.s.seats.take(d.who.Name)
	if err == nil {
		leave()
	}
	return err
}
