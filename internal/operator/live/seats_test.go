package live

import (
	"errors"
	"testing"
)

func TestOneAccountCannotTakeEverySeat(t *testing.T) {
	s := newSeats(5, 2)
	var leave []func()
	for _, c := range []struct {
		who  string
		good bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"b", true}, {"c", true}, {"c", false}, {"d", false}} {
		out, err := s.take(c.who)
		if (err == nil) != c.good || err != nil && !errors.Is(err, ErrStreams) {
			t.Errorf("%s: %v", c.who, err)
		}
		if err == nil {
			leave = append(leave, out)
		}
	}
	for _, f := range leave {
		f()
	}
	if s.taken != 0 || len(s.by) != 0 {
		t.Errorf("%d seats are taken, by %v", s.taken, s.by)
	}
}
