package stscache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy/sts"
)

// Config is what a Cache needs. Store, Resolver and Fetcher must be set; zero in the rest means what is said there.
type Config struct {
	Store    records.Store
	Resolver interface {
		TXT(ctx context.Context, name mail.Domain) (dns.TXTAnswer, error)
	}
	Fetcher Fetcher
	// Timeout is how long mail waits for a policy that is not kept, counted from when somebody first asked; 0 means 10
	// s.
	Timeout time.Duration
	// Time bounds one asking, whoever waits; 0 means a minute.
	Time time.Duration
	// Fetches bounds the fetches at a time, of which Run uses less than half; 0 means 10.
	Fetches int
	// MemoryMost and Memory bound the domains held in memory and their bytes; 0 means 100,000 and 64 MiB.
	MemoryMost int
	Memory     int64
	// Most is how many policies the store keeps; further ones count as long as memory has them. 0 means 500,000.
	Most int
	// Idle, when set, says that Run is to ask nobody now, as long as policies are not kept to.
	Idle func() bool
	// Tell, when set, is told of every failure to get a policy that is announced or kept. Safe for concurrent use; it
	// must not call the Cache.
	Tell func(Unavailable)
}

// Unavailable says that a policy could not be had.
type Unavailable struct {
	Domain mail.Domain
	Note   Note
	// Kept is the policy that counts all the same, nil for none.
	Kept *Found
}

// Source says where a policy comes from.
type Source string

// The sources.
const (
	FromCache   Source = "cache"   // it was kept
	FromFetched Source = "fetched" // it was fetched for this very question
)

// Found is a policy that is in force. Its slices are shared: they are read and never changed.
type Found struct {
	Policy  sts.Policy
	ID      string    // of the record that announced it
	Fetched time.Time // when it was fetched last
	Until   time.Time // when it ends, unless it is fetched before
	Source  Source
	Fault   Note // why the last renewal failed; zero when it did not
}

// The times of a Cache.
const (
	day     = 24 * time.Hour
	pause   = 5 * time.Minute  // a host is asked no more often than that (RFC 8461 §3.3)
	brief   = 30 * time.Second // the same where we ourselves were too busy
	fresh   = time.Minute      // how long memory is believed without asking the store
	unused  = 60 * day         // a policy that no mail needed for so long is left to its end
	claimed = 30 * time.Minute // how long a renewal by Run keeps others from trying
	writing = 10 * time.Second // to note in the store what became of an asking that took all its time
)

// Cache knows policies. It is safe for concurrent use.
type Cache struct {
	cfg    Config
	memory *memory

	ctx    context.Context // of the flights; ends with Close
	cancel context.CancelFunc
	slots  chan struct{}
	group  sync.WaitGroup

	mu      sync.Mutex // guards flights and closed
	flights map[mail.Domain]*flight
	closed  bool

	anew atomic.Int64 // what ended before that moment, in ns, is no reason to ask nobody: see Anew
}

// New returns a Cache of what the store keeps. Nothing is asked before somebody asks, or Run. The caller calls Close.
func New(cfg Config) *Cache {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Time == 0 {
		cfg.Time = time.Minute
	}
	if cfg.Fetches == 0 {
		cfg.Fetches = 10
	}
	if cfg.MemoryMost == 0 {
		cfg.MemoryMost = 100_000
	}
	if cfg.Memory == 0 {
		cfg.Memory = 64 << 20
	}
	if cfg.Most == 0 {
		cfg.Most = 500_000
	}
	if cfg.Idle == nil {
		cfg.Idle = func() bool { return false }
	}
	if cfg.Tell == nil {
		cfg.Tell = func(Unavailable) {}
	}
	c := &Cache{cfg: cfg, memory: newMemory(cfg.MemoryMost, cfg.Memory), slots: make(chan struct{}, cfg.Fetches),
		flights: map[mail.Domain]*flight{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close ends what is being asked and waits for it. Questions asked later are answered from what is kept, or with an
// error.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.group.Wait()
}

var errClosed = errors.New("stscache: closed")

// Policy returns the policy of a domain that is in force, nil for none; the Note says why there is none. The first who
// ask for a domain wait for at most Timeout. The error is that of the store or of ctx and says nothing about the
// domain: mail waits.
func (c *Cache) Policy(ctx context.Context, domain mail.Domain) (*Found, Note, error) {
	k, err := c.look(ctx, domain)
	if err != nil {
		return nil, Note{}, err
	}
	now := time.Now()
	switch {
	case k.policy.inForce(now):
		c.memory.touch(k.policy, domain, now)
		return k.policy.found(FromCache), Note{}, nil
	case now.Before(k.rest) && (k.order == 0 || c.counts(k.tried)):
		return nil, k.note, nil
	}
	return c.ask(ctx, k, false, c.cfg.Timeout)
}

// Known returns the policy of a domain that is in force as far as is known now, nil for none. Nobody is asked but the
// store, once a minute. The error is that of the store.
func (c *Cache) Known(ctx context.Context, domain mail.Domain) (*Found, error) {
	k, err := c.look(ctx, domain)
	if err != nil || !k.policy.inForce(time.Now()) {
		return nil, err
	}
	return k.policy.found(FromCache), nil
}

// Anew has the next question about each domain ask it, as far as that could bring a better answer, however lately it
// was asked: an administrator says that something is mended.
func (c *Cache) Anew() { c.anew.Store(time.Now().UnixNano()) }

// counts reports whether an asking that ended at a moment is a reason not to ask again.
func (c *Cache) counts(ended time.Time) bool { return ended.UnixNano() > c.anew.Load() }

// Again asks anew for the policy of a domain whose mail hosts fall short of the one that is kept, and returns what is
// in force then, as Policy does. It fetches whatever the record's id is, since the field changes policies and forgets
// the record; a domain is asked at most once in five minutes, unless Anew says otherwise, and whoever comes in between
// gets what is known.
func (c *Cache) Again(ctx context.Context, domain mail.Domain) (*Found, Note, error) {
	k, err := c.look(ctx, domain)
	if err != nil {
		return nil, Note{}, err
	}
	now := time.Now()
	lately := func(ended time.Time) bool { return now.Sub(ended) < pause && c.counts(ended) }
	if !k.policy.inForce(now) || lately(k.tried) || lately(k.policy.Tried) {
		return c.Policy(ctx, domain)
	}
	return c.ask(ctx, k, true, c.cfg.Timeout)
}

// look returns what is known of a domain without asking it: what memory holds, or the store.
func (c *Cache) look(ctx context.Context, domain mail.Domain) (*known, error) {
	was := c.memory.get(domain)
	if was != nil && time.Since(was.loaded) < fresh {
		return was, nil
	}
	if below("_mta-sts", domain).IsZero() || Host(domain).IsZero() {
		return &known{domain: domain, rest: time.Now().Add(pause),
			note: Note{NoRecord, domain.String() + " can announce no policy"}}, nil
	}
	order := c.memory.next()
	policy, err := c.read(ctx, domain)
	if err != nil {
		if was != nil && was.policy.inForce(time.Now()) {
			return was, nil
		}
		return nil, err
	}
	k := known{domain: domain}
	if was != nil {
		k = *was
	}
	if policy != nil || !k.policy.inForce(time.Now()) || !k.policy.loose {
		k.policy = policy
	}
	k.loaded, k.order = time.Now(), order
	return c.memory.put(&k), nil
}

// ask begins to ask, or joins who asks already, and waits until the limit has passed since the beginning. What was
// known counts until it is over.
func (c *Cache) ask(ctx context.Context, was *known, force bool, limit time.Duration) (*Found, Note, error) {
	f := c.fly(was.domain, force)
	if f == nil {
		return was.meanwhile(Note{Busy, "too many other domains are being asked for their policies"})
	}
	over, err := f.wait(ctx, limit)
	switch {
	case err != nil:
		return nil, Note{}, err
	case !over:
		return was.meanwhile(f.notYet(limit))
	case f.err != nil:
		return nil, Note{}, f.err
	case force && !f.forced && !f.fetched: // somebody else's asking had seen no reason to fetch
		return c.ask(ctx, was, true, limit)
	case f.fetched && f.result.policy.inForce(time.Now()):
		return f.result.policy.found(FromFetched), Note{}, nil
	}
	return f.result.meanwhile(f.result.note)
}

// meanwhile is what is known where nothing new came: the policy that is kept, or a note why there is none.
func (k *known) meanwhile(note Note) (*Found, Note, error) {
	if k.policy.inForce(time.Now()) {
		return k.policy.found(FromCache), Note{}, nil
	}
	return nil, note, nil
}
