package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"postern/internal/ledger"
	"postern/internal/policy/rules"
)

// ErrNoRules: the rules in force are not known, so no message may be accepted.
var ErrNoRules = errors.New("the rules in force could not be read")

// RuleKeeper holds the rules in force and swaps them as a whole. While they cannot be read Current answers an error,
// never an empty set: whoever asks must answer 451 (DESIGN §3). Safe for concurrent use.
type RuleKeeper struct {
	ledger ledger.Ledger
	change sync.Mutex // one change at a time
	now    atomic.Pointer[inForce]
}

// inForce is one state of the keeper; it never changes.
type inForce struct {
	revision ledger.Revision
	set      *rules.Set
	err      error
}

// NewRuleKeeper reads the newest revision. It always returns a keeper; when reading failed the keeper says so until
// Reload or a new revision succeeds.
func NewRuleKeeper(ctx context.Context, from ledger.Ledger) *RuleKeeper {
	k := &RuleKeeper{ledger: from}
	_ = k.Reload(ctx) // kept: Current tells
	return k
}

// Reload reads the newest revision again. On error a set already in force stays in force.
func (k *RuleKeeper) Reload(ctx context.Context) error {
	k.change.Lock()
	defer k.change.Unlock()
	next := &inForce{}
	next.revision, next.err = k.ledger.Rules(ctx)
	if next.err == nil {
		next.set, next.err = rules.Parse(fmt.Sprintf("revision %d", next.revision.Number), []byte(next.revision.Text))
	}
	if next.err != nil {
		next.err = fmt.Errorf("%w: %w", ErrNoRules, next.err)
		next.set = nil
		if old := k.now.Load(); old != nil && old.err == nil {
			return next.err
		}
	}
	k.now.Store(next)
	return next.err
}

// Current returns the set in force and its revision number, 0 when none was ever applied. An error means the rules are
// not known.
func (k *RuleKeeper) Current() (*rules.Set, int64, error) {
	c := k.now.Load()
	return c.set, c.revision.Number, c.err
}

// append makes text, which parsed as set, the rules in force: first on stable storage, then here. The caller holds change.
func (k *RuleKeeper) append(ctx context.Context, set *rules.Set, text string, e ledger.Entry) (ledger.Revision, error) {
	revision, err := k.ledger.AppendRules(ctx, text, e)
	if err != nil {
		return ledger.Revision{}, fmt.Errorf("cannot store the rules; the old ones stay in force: %w", err)
	}
	k.now.Store(&inForce{revision: revision, set: set})
	return revision, nil
}
