package nodes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/platform/pause"
)

// ErrUnknownWhere: it could not be found out where a change holds.
var ErrUnknownWhere = errors.New("it could not be found out at which gateways the change holds")

// The pauses between questions whom a change still waits for.
const (
	firstLook = 20 * time.Millisecond
	lastLook  = time.Second
)

// Agreed says how a wait for the other gateways ended.
type Agreed struct {
	// Lacking are the gateways at which the change does not hold yet; none when it holds everywhere.
	Lacking []Member
	Took    time.Duration
}

// Agree tells every gateway of a mark and waits until no gateway that is alive judges by less, at most as long as
// Config says. m is in force here already. tell hears of whom it waits for whenever that changes, and may be nil. The
// error is ErrUnknownWhere, with why, or that of ctx, and Lacking is the last that was known then.
func (n *Node) Agree(ctx context.Context, m Mark, tell func(lacking []Member)) (Agreed, error) {
	if n.alone() {
		return Agreed{}, nil
	}
	began := time.Now()
	n.hear(m)
	bounded, cancel := context.WithTimeout(ctx, n.cfg.Wait)
	defer cancel()
	w := wait{n: n, mark: m, tell: tell}
	err := w.until(bounded)
	out := Agreed{Lacking: w.lacking, Took: time.Since(began)}
	switch {
	case err == nil || ctx.Err() == nil && w.unknown == nil:
		return out, nil
	case ctx.Err() != nil:
		return out, ctx.Err()
	}
	return out, fmt.Errorf("%w: %w", ErrUnknownWhere, w.unknown)
}

// wait is one Agree.
type wait struct {
	n       *Node
	mark    Mark
	tell    func([]Member)
	raised  bool
	lacking []Member
	unknown error // why the last look failed
}

// until looks until nobody is lacking or ctx ends, with the error of ctx.
func (w *wait) until(ctx context.Context) error {
	for between := firstLook; ; between = min(2*between, lastLook) {
		if w.unknown = w.look(ctx); w.unknown == nil && len(w.lacking) == 0 {
			return nil
		}
		if !pause.For(ctx, between) {
			return ctx.Err()
		}
	}
}

// look asks once who is lacking.
func (w *wait) look(ctx context.Context) error {
	if !w.raised {
		if err := w.n.cfg.Registry.Raise(ctx, w.mark); err != nil {
			return err
		}
		w.raised = true
		w.n.Poke()
	}
	roll, err := w.n.cfg.Registry.Nodes(ctx)
	if err != nil {
		return err
	}
	before := len(w.lacking)
	w.lacking = nil
	for _, e := range roll.Lacking(w.mark) {
		w.lacking = append(w.lacking, w.n.member(e, roll.Now))
	}
	if w.tell != nil && before != len(w.lacking) {
		w.tell(w.lacking)
	}
	return nil
}
