package nodes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/platform/pause"
)

// ErrTaken: another gateway does it, and did not come to an end.
var ErrTaken = errors.New("another gateway of the store is busy with it")

// Turn waits until nobody else does what is named, such as a change of the rules, and has this gateway do it alone
// until end is called, or for the lease if that is shorter: it orders people's work, and is no lock that data may stand
// on.
// The error is ErrTaken when the time for Agree is over, that of the store, or that of ctx.
func (n *Node) Turn(ctx context.Context, what string) (end func(), err error) {
	if n.alone() {
		return func() {}, nil
	}
	t := Turn{Name: "turn " + what, Session: n.cfg.Session, For: n.cfg.Lease}
	bounded, cancel := context.WithTimeout(ctx, n.cfg.Wait)
	defer cancel()
	for between := firstLook; ; between = min(2*between, lastLook) {
		wait, err := n.cfg.Registry.Take(bounded, t)
		switch {
		case err != nil:
			return nil, err
		case wait <= 0:
			return func() { n.endTurn(ctx, t.Name) }, nil
		}
		if !pause.For(bounded, min(between, wait)) {
			return nil, cmp.Or(ctx.Err(), fmt.Errorf("%w: it takes longer than %v", ErrTaken, n.cfg.Wait))
		}
	}
}

// Duty reports whether this gateway is the one that does something for all of them now, such as sending the reports of
// a day. Asked again it stays so. A gateway that stands alone does everything. Where the store cannot be asked nobody
// does.
func (n *Node) Duty(ctx context.Context, what string) bool {
	if n.alone() {
		return true
	}
	if n.May() != nil {
		return false
	}
	wait, err := n.cfg.Registry.Take(ctx,
		Turn{Name: "duty " + what, Session: n.cfg.Session, For: max(n.cfg.Lease, leastDuty)})
	return err == nil && wait <= 0
}

// leastDuty is for how long at least a duty stays with who has it.
const leastDuty = 30 * time.Second

// endTurn gives a turn back. Where that fails it ends by itself.
func (n *Node) endTurn(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = n.cfg.Registry.Rest(ctx, Turn{Name: name, Session: n.cfg.Session})
}
