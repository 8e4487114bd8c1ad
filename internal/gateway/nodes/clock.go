package nodes

import (
	"fmt"
	"time"
)

// By how much the clocks of a gateway and of the store may differ. From ClockTold on an administrator should know. With
// more than ClockMost the gateway does nothing: no time zone explains it, so that one of the two is nowhere, and what
// it says of certificates and of windows is worth nothing.
const (
	ClockTold = time.Minute
	ClockMost = 24 * time.Hour
)

func (n *Node) ahead() time.Duration {
	if n.cfg.Ahead == nil {
		return 0
	}
	return n.cfg.Ahead()
}

// astray is ErrClock, with how far the clocks are apart; nil where that can be borne.
func (n *Node) astray() error {
	by := n.ahead()
	if by.Abs() <= ClockMost {
		return nil
	}
	return fmt.Errorf("%w: this one is %s", ErrClock, Apart(by))
}

// Apart says in words how a clock that is ahead by so much differs.
func Apart(by time.Duration) string {
	way := "ahead"
	if by < 0 {
		way = "behind"
	}
	return by.Abs().Round(time.Second).String() + " " + way
}

// tellClock tells when the clocks begin to differ, and when they agree again.
func (n *Node) tellClock() {
	by := n.ahead()
	off := by.Abs() >= ClockTold
	if off == n.off || n.cfg.Off == nil {
		return
	}
	n.off = off
	if !off {
		by = 0
	}
	n.cfg.Off(by)
}
