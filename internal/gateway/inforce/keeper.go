package inforce

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"postern/internal/gateway/route"
	"postern/internal/operator/audit"
	"postern/internal/policy/rules"
)

// Errors of a View and of changes.
var (
	// ErrNoRules: the rules in force are not known, so no message may be accepted.
	ErrNoRules = errors.New("the rules in force could not be read")
	// ErrNoNumber: what is in force could not be written down, so nothing may be judged by it.
	ErrNoNumber = errors.New("what is in force could not be written down")
)

// errOvertaken: another gateway has stored newer rules than those that were to come in force here.
var errOvertaken = errors.New("another gateway keeps changing the rules")

// rounds is how often what was overtaken is begun anew.
const rounds = 5

// Ledger is what a Keeper asks of audit.Ledger.
type Ledger interface {
	Rules(ctx context.Context) (audit.Revision, error)
	AppendRules(ctx context.Context, text string, e audit.Entry) (audit.Revision, error)
	Append(ctx context.Context, e audit.Entry) error
	Judge(ctx context.Context, j audit.Judgement, anew bool) (audit.Judgement, error)
}

// Config is what a Keeper stands on.
type Config struct {
	// Ledger keeps revisions and numbers.
	Ledger Ledger
	// Table is that of the beginning; nil in a gateway that does not deliver.
	Table *route.Table
	// Clients are the bindings of the beginning.
	Clients Clients
	// Files is the digest of the content of trusts (roots.Store.Digest); nil knows no files.
	Files func(trusts ...string) string
	// Shared says that other gateways store rules in the Ledger too. What was numbered comes in force only if its rules
	// are still the newest then, and a change begins with reading them. Whoever hears of newer rules calls Reload.
	Shared bool
	// NoDigest is that of each View.
	NoDigest bool
}

// Keeper holds what is in force and swaps it as a whole. While it is not known a View has an error, never an empty set:
// whoever asks must answer 451 (design.md §3). Safe for concurrent use.
type Keeper struct {
	cfg    Config
	change sync.Mutex // one change at a time
	now    atomic.Pointer[state]
	behind bool // newer rules are stored than are in force; guarded by change
}

// state is a View with what it was made from; it never changes.
type state struct {
	View
	revision audit.Revision
	numbered audit.Judgement
}

// NewKeeper reads the newest revision of the rules and numbers what is in force. It always returns a Keeper; where that
// failed its View says so until Reload or a new revision succeeds.
func NewKeeper(ctx context.Context, cfg Config) *Keeper {
	k := &Keeper{cfg: cfg}
	k.now.Store(&state{View: View{Table: cfg.Table, Clients: cfg.Clients, Err: ErrNoRules}})
	_ = k.Reload(ctx) // kept: the View tells
	return k
}

// Now returns what is in force.
func (k *Keeper) Now() *View { return &k.now.Load().View }

// Applied returns the revision of the rules in force with its text and the set it parsed to; the error is that of the
// View.
func (k *Keeper) Applied() (audit.Revision, *rules.Set, error) {
	c := k.now.Load()
	return c.revision, c.Rules, c.Err
}

// Current returns the set in force and its revision number, 0 when none was ever applied. The error is that of the
// View.
func (k *Keeper) Current() (*rules.Set, int64, error) {
	v := k.Now()
	return v.Rules, v.Revision, v.Err
}

// Reload reads the newest revision again. On error what is in force stays in force.
func (k *Keeper) Reload(ctx context.Context) error {
	k.change.Lock()
	defer k.change.Unlock()
	return k.reload(ctx)
}

func (k *Keeper) reload(ctx context.Context) error {
	var err error
	for range rounds {
		if err = k.reloadOnce(ctx); !errors.Is(err, errOvertaken) {
			return err
		}
	}
	return err
}

func (k *Keeper) reloadOnce(ctx context.Context) error {
	old := k.now.Load()
	next := &state{View: View{Table: old.Table, Clients: old.Clients}}
	var err error
	if next.revision, err = k.cfg.Ledger.Rules(ctx); err == nil {
		next.Rules, err = rules.Parse(fmt.Sprintf("revision %d", next.revision.Number), []byte(next.revision.Text))
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNoRules, err)
	} else if err = k.number(ctx, next, false); err == nil {
		k.behind = false
		k.now.Store(next)
		return nil
	}
	if old.Err != nil {
		next.Err, next.Rules = err, nil
		k.now.Store(next)
	}
	return err
}

// Tend tries again what could not be read or written down, and looks at the files of trust. It reports whether anything
// else is in force now.
func (k *Keeper) Tend(ctx context.Context) (changed bool, err error) {
	k.change.Lock()
	defer k.change.Unlock()
	old := k.now.Load()
	if old.Err != nil || k.behind {
		err = k.reload(ctx)
	} else if next := *old; k.digest(&next) != old.numbered.Files {
		if err = k.number(ctx, &next, false); err == nil {
			k.now.Store(&next)
		} else if errors.Is(err, errOvertaken) {
			err = k.reload(ctx)
		}
	}
	return k.Now().Number != old.Number, err
}

// SetTable puts other tables and bindings in force. On error the old ones stay. It reports whether they differ.
func (k *Keeper) SetTable(ctx context.Context, table *route.Table, clients Clients) (changed bool, err error) {
	k.change.Lock()
	defer k.change.Unlock()
	for range rounds {
		old := k.now.Load()
		next := *old
		next.Table, next.Clients = table, clients
		if old.Err == nil {
			err = k.number(ctx, &next, false)
		}
		if err == nil {
			k.now.Store(&next)
			return next.numbered.Tables != old.numbered.Tables, nil
		}
		if !errors.Is(err, errOvertaken) || k.reload(ctx) != nil {
			return false, err
		}
	}
	return false, err
}

// Apply makes text, which parsed as set, the rules in force: first on stable storage with the entry, then here. An
// equal text is no new revision, and is judged by anew. entry gets what is in force (the set is nil where that is not
// known), and may refuse. Where another gateway stored newer ones in the meantime, those are in force afterwards.
func (k *Keeper) Apply(ctx context.Context, set *rules.Set, text string,
	entry func(before audit.Revision, old *rules.Set) (audit.Entry, error)) (after audit.Revision, err error) {
	k.change.Lock()
	defer k.change.Unlock()
	if k.cfg.Shared && k.Now().Err == nil {
		if err := k.reload(ctx); err != nil {
			return k.now.Load().revision, fmt.Errorf("nothing was changed: %w", err)
		}
	}
	old := k.now.Load()
	next := &state{View: View{Table: old.Table, Clients: old.Clients, Rules: set}, revision: old.revision}
	e, err := entry(old.revision, old.Rules)
	if err != nil {
		return old.revision, err
	}
	if old.Rules != nil && old.revision.Number > 0 && old.revision.Text == text {
		err = k.cfg.Ledger.Append(ctx, e)
	} else {
		next.revision, err = k.cfg.Ledger.AppendRules(ctx, text, e)
		k.behind = k.behind || err == nil
	}
	if err != nil {
		return old.revision, fmt.Errorf("cannot store the rules; the old ones stay in force: %w", err)
	}
	err = k.number(ctx, next, true)
	if errors.Is(err, errOvertaken) {
		return next.revision, k.reload(ctx)
	}
	if err != nil {
		return old.revision, fmt.Errorf(
			"the rules are stored, and come in force as soon as that can be written down: %w", err)
	}
	k.behind = false
	k.now.Store(next)
	return next.revision, nil
}

// number gives a state its number, on stable storage.
func (k *Keeper) number(ctx context.Context, s *state, anew bool) error {
	s.Revision, s.NoDigest = s.revision.Number, k.cfg.NoDigest
	j := audit.Judgement{Rules: s.Revision, Files: k.digest(s)}
	if s.Table != nil {
		j.Tables = s.Table.Digest()
	}
	if s.Clients != nil {
		if bindings := s.Clients.Digest(); bindings != "" {
			sum := sha256.Sum256([]byte(j.Tables + bindings))
			j.Tables = hex.EncodeToString(sum[:])
		}
	}
	var err error
	if s.numbered, err = k.cfg.Ledger.Judge(ctx, j, anew); err != nil {
		return fmt.Errorf("%w: %w", ErrNoNumber, err)
	}
	s.Number = s.numbered.Number
	return k.overtaken(ctx, s)
}

// overtaken looks whether the rules of a state that has its number are still the newest. If they are, whoever stores
// newer ones gets a higher number for them, so that what is judged by this state is judged again.
func (k *Keeper) overtaken(ctx context.Context, s *state) error {
	if !k.cfg.Shared {
		return nil
	}
	newest, err := k.cfg.Ledger.Rules(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoRules, err)
	}
	if newest.Number > s.Revision {
		return fmt.Errorf("%w: %w", ErrNoRules, errOvertaken)
	}
	return nil
}

// digest is that of the files which a state names.
func (k *Keeper) digest(s *state) string {
	if k.cfg.Files == nil {
		return ""
	}
	trusts := s.Rules.Trusts()
	if s.Table != nil {
		trusts = append(trusts, s.Table.Trusts()...)
	}
	return k.cfg.Files(trusts...)
}
