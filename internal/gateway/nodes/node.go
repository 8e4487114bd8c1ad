package nodes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/platform/pause"
)

// Errors that say why a gateway may do nothing now. It mends by itself.
var (
	// ErrCutOff: no renewal of the lease has succeeded for more than half of it.
	ErrCutOff = errors.New("this gateway has not reached the store for too long; others may have taken its work over")
	// ErrClock: the clock of this gateway and that of the store differ by more than ClockMost.
	ErrClock = errors.New("the clocks of this gateway and of the store are too far apart")
	// ErrBehind: newer rules hold than this gateway has read.
	ErrBehind = errors.New("newer rules hold than this gateway has read")
)

// Config is what a Node stands on.
type Config struct {
	// Registry joins the gateways of one store. nil is a gateway that stands alone, and nothing but what it says of
	// itself is looked at then.
	Registry Registry
	// Session is random and of this process alone. Name, Release and API are told to the others.
	Session, Name, Release, API string
	// Lease is how long the lease runs; 0 is 30 s. Wait bounds Agree; 0 is two leases.
	Lease, Wait time.Duration
	// Ahead is how far the wall clock of this machine is ahead of the store's; nil says that they are one.
	Ahead func() time.Duration
	// InForce returns what this gateway judges mail by now, the zero Mark while that is not known. It is called for
	// every message. nil is always the zero Mark.
	InForce func() Mark
	// Reload reads what is newest. When it returns nil, InForce tells of it.
	Reload func(ctx context.Context) error
	// Held counts the deliveries that are claimed; nil counts none.
	Held func() int
	// Off is called when the two clocks differ by ClockTold or more, with Ahead, and with 0 when they do no longer; it
	// does not wait. It may be nil.
	Off func(by time.Duration)
	// Resumed is called when the gateway may do things again; Lost when it may not, with why. Neither waits for long.
	// Each may be nil.
	Resumed func()
	Lost    func(err error)
}

// Node is this gateway among those of the store. Safe for concurrent use.
type Node struct {
	cfg    Config
	joined time.Time
	renews atomic.Pointer[renewal] // the last that succeeded; nil before
	among  atomic.Pointer[among]   // the others, as of the last renewal; nil before
	ended  atomic.Bool             // the lease has ended, and is begun anew when nothing of before is under way
	newest atomic.Pointer[Mark]    // that was heard of
	judge  judging
	poke   chan struct{} // capacity 1: renew now
	behind chan struct{} // capacity 1: read what is newest

	mu   sync.Mutex // guards what follows
	news chan struct{}
	lost bool // Lost was told of

	off bool // Off was told of; of Run alone
}

// renewal is one that succeeded.
type renewal struct {
	began   moment
	latency time.Duration
}

// New returns a Node that may do nothing before Run has joined it to the others. One that stands alone needs no Run.
func New(cfg Config) *Node {
	if cfg.Lease <= 0 {
		cfg.Lease = 30 * time.Second
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 2 * cfg.Lease
	}
	if cfg.InForce == nil {
		cfg.InForce = func() Mark { return Mark{} }
	}
	n := &Node{cfg: cfg, joined: time.Now(), poke: make(chan struct{}, 1), behind: make(chan struct{}, 1),
		news: make(chan struct{})}
	n.newest.Store(&Mark{})
	return n
}

// alone reports whether no others can be there. A nil Node is alone too.
func (n *Node) alone() bool { return n == nil || n.cfg.Registry == nil }

// State is how this gateway stands, by its own clocks.
func (n *Node) State() State {
	if n.alone() {
		return Live
	}
	r := n.renews.Load()
	switch {
	case n.ended.Load():
		return Gone
	case r == nil:
		return Joining
	}
	s := stateAfter(r.began.since(), n.cfg.Lease)
	if s == Live && n.astray() != nil {
		return Doubtful
	}
	return s
}

// Live reports whether State is Live.
func (n *Node) Live() bool { return n.State() == Live }

// May says why this gateway may do nothing now: ErrCutOff, ErrClock or ErrBehind, nil when it may. It costs little and
// is asked before each thing.
func (n *Node) May() error {
	switch {
	case n.alone():
		return nil
	case n.State() != Live:
		n.Poke()
		return cmp.Or(n.astray(), ErrCutOff)
	case !n.cfg.InForce().Reaches(*n.newest.Load()):
		wake(n.behind)
		return ErrBehind
	}
	return nil
}

// Ready is May, and waits a little where this gateway only has to read what is newest.
func (n *Node) Ready(ctx context.Context) error {
	if n.alone() {
		return nil
	}
	timer := time.NewTimer(n.patience())
	defer timer.Stop()
	for {
		news := n.hears()
		err := n.May()
		if !errors.Is(err, ErrBehind) {
			return err
		}
		select {
		case <-news:
		case <-timer.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// Begin is Ready for the judgement of a message that is to be accepted. What is in force is looked at after it, and end
// is called when the message was accepted or refused; until then what comes in force is not acknowledged. end is nil
// with an error.
func (n *Node) Begin(ctx context.Context) (end func(), err error) {
	if n.alone() {
		return func() {}, nil
	}
	if err := n.Ready(ctx); err != nil {
		return nil, err
	}
	era := n.judge.begin()
	end = func() {
		if n.judge.end(era) || n.ended.Load() {
			n.Poke()
		}
	}
	if err := n.May(); err != nil { // within the era: what is begun is seen from here on
		end()
		return nil, err
	}
	return end, nil
}

// patience is how long a message waits for what is newest to be read.
func (n *Node) patience() time.Duration { return min(5*time.Second, n.cfg.Lease/3) }

// Poke has the lease renewed now: the store told of something, or somebody waits.
func (n *Node) Poke() {
	if !n.alone() {
		wake(n.poke)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hears returns a channel that is closed when something has changed.
func (n *Node) hears() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.news
}

// Run joins this gateway to the others and renews its lease until ctx ends; then it ends the lease, so that nobody
// waits for it. It returns when every goroutine of its own has ended: nil, or before that ErrOutdated. Nothing that
// needs a lease may run any more when ctx ends.
func (n *Node) Run(ctx context.Context) error {
	if n.alone() {
		<-ctx.Done()
		return nil
	}
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	readers.Go(func() { n.catchUp(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			n.leave(ctx)
			return nil
		case <-timer.C:
		case <-n.poke:
		}
		pause := n.cfg.Lease / 3
		began := time.Now()
		err := n.renew(ctx)
		if errors.Is(err, ErrOutdated) {
			n.leave(ctx)
			return err
		}
		if err == nil {
			n.tellClock()
			err = n.astray()
		}
		if err != nil && ctx.Err() == nil {
			pause = min(n.cfg.Lease/10, time.Second)
			n.tellLost(err)
		}
		timer.Reset(max(pause-time.Since(began), least))
	}
}

// least is the shortest pause between renewals that nobody asked for.
const least = 10 * time.Millisecond

// renew renews the lease. One that has ended is begun anew as soon as nothing is judged any more that was begun under
// it.
func (n *Node) renew(ctx context.Context) error {
	err := n.renewOnce(ctx)
	if errors.Is(err, ErrEnded) {
		n.ended.Store(true)
		err = n.renewOnce(ctx)
	}
	return err
}

// renewOnce asks once. What takes a third of the lease is given up and begun anew.
func (n *Node) renewOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Lease/3)
	defer cancel()
	old, ended := n.renews.Load(), n.ended.Load()
	if ended && !n.judge.idle() {
		return fmt.Errorf("%w, and messages are still on their way into the store", ErrEnded)
	}
	r := Report{Session: n.cfg.Session, Name: n.cfg.Name, Release: n.cfg.Release, API: n.cfg.API, Lease: n.cfg.Lease,
		Anew: ended || old == nil, InForce: n.judge.note(n.cfg.InForce()), Held: n.held()}
	if old != nil {
		r.Latency = old.latency
	}
	began := readClocks()
	a, err := n.cfg.Registry.Renew(ctx, r)
	if err != nil {
		return err
	}
	n.hear(a.Newest)
	n.among.Store(&among{a.Live, a.Rank})
	n.renews.Store(&renewal{began: began, latency: time.Since(began.mono)})
	n.ended.Store(false)
	if !n.cfg.InForce().Reaches(a.Newest) {
		wake(n.behind)
	}
	n.changed()
	return nil
}

func (n *Node) held() int {
	if n.cfg.Held == nil {
		return 0
	}
	return n.cfg.Held()
}

// hear takes a mark as heard of.
func (n *Node) hear(m Mark) {
	for {
		old := n.newest.Load()
		next := old.Max(m)
		if next == *old || n.newest.CompareAndSwap(old, &next) {
			return
		}
	}
}

// changed tells whoever waits, and once that the gateway may do things again.
func (n *Node) changed() {
	free := n.State() == Live && n.cfg.InForce().Reaches(*n.newest.Load())
	n.mu.Lock()
	close(n.news)
	n.news = make(chan struct{})
	resumes := n.lost && free
	n.lost = n.lost && !free
	n.mu.Unlock()
	if resumes && n.cfg.Resumed != nil {
		n.cfg.Resumed()
	}
}

// tellLost tells once that the gateway may do nothing any more.
func (n *Node) tellLost(err error) {
	if n.State() == Live {
		return
	}
	n.mu.Lock()
	first := !n.lost
	n.lost = true
	n.mu.Unlock()
	if !errors.Is(err, ErrClock) {
		err = fmt.Errorf("%w: %w", ErrCutOff, err)
	}
	if first && n.cfg.Lost != nil {
		n.cfg.Lost(err)
	}
}

// catchUp reads what is newest whenever this gateway is behind, beside the renewals, which go on meanwhile.
func (n *Node) catchUp(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.behind:
		}
		for !n.cfg.InForce().Reaches(*n.newest.Load()) && ctx.Err() == nil {
			if err := n.reload(ctx); err != nil || !n.cfg.InForce().Reaches(*n.newest.Load()) {
				pause.For(ctx, time.Second)
			}
		}
		n.changed()
		n.Poke() // to acknowledge it
	}
}

func (n *Node) reload(ctx context.Context) error {
	if n.cfg.Reload == nil {
		return nil
	}
	return n.cfg.Reload(ctx)
}

// leave ends the lease, with a moment of its own. Where that fails the lease ends by itself.
func (n *Node) leave(ctx context.Context) {
	n.renews.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(time.Second, n.cfg.Lease/3))
	defer cancel()
	_ = n.cfg.Registry.Leave(ctx, n.cfg.Session) // see above
}
