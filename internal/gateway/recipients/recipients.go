package recipients

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// Opener opens channels; *deliver.Deliverer is one.
type Opener interface {
	Open(ctx context.Context, site string, plan *route.Plan, r policy.Requirement,
		admit deliver.Admission) deliver.Climbed
}

// Config is what a Keeper needs. Opener and InForce are required.
type Config struct {
	Opener  Opener
	InForce func() *inforce.View
	// Sink gets the events; nil discards them.
	Sink event.Sink
	// Sender is what servers are asked with besides the null sender.
	Sender mail.Address
	// Wait bounds one question, the wait for a place and the connection included (0: 20 s, for servers that take 5 s to
	// refuse are asked twice). Pause is how long a server that did
	// not answer is not asked (0: 30 s).
	Wait, Pause time.Duration
	// Known and Unknown are how long answers are remembered (0: 24 h, 15 min).
	Known, Unknown time.Duration
	// Remembered bounds how many, half of them for each kind (0: 100,000).
	Remembered int
	// PerServer and Total bound the questions under way (0: 4, 64).
	PerServer, Total int
	// Idle is how long a connection waits for another question (0: 10 s).
	Idle time.Duration
}

// Keeper knows recipients, or asks. Safe for concurrent use.
type Keeper struct {
	cfg     Config
	sources atomic.Pointer[Sources]
	memory  memory
	places  chan struct{}

	mu      sync.Mutex // guards what follows
	flights map[string]*flight
	servers map[queue.SiteKey]*server
	idle    int     // connections that wait for another question
	over    []*line // whose end Run has to say
	closed  bool    // nobody is asked any more
}

// flight is a question under way. Those who ask the same wait for done.
type flight struct {
	done   chan struct{}
	refuse *smtp.Reply // set before done is closed; nil takes the recipient
}

// New returns a Keeper that takes everybody until Use.
func New(cfg Config) (*Keeper, error) {
	if cfg.Opener == nil || cfg.InForce == nil {
		return nil, errors.New("recipients: Opener and InForce are required")
	}
	if cfg.Sink == nil {
		cfg.Sink = event.Discard{}
	}
	or(&cfg.Wait, 20*time.Second)
	or(&cfg.Pause, 30*time.Second)
	or(&cfg.Known, 24*time.Hour)
	or(&cfg.Unknown, 15*time.Minute)
	or(&cfg.Idle, 10*time.Second)
	or(&cfg.Remembered, 100_000)
	or(&cfg.PerServer, 4)
	or(&cfg.Total, 64)
	k := &Keeper{cfg: cfg, places: make(chan struct{}, cfg.Total), flights: map[string]*flight{},
		servers: map[queue.SiteKey]*server{}}
	k.memory.limit = max(cfg.Remembered/2, 1)
	k.sources.Store(&Sources{})
	return k, nil
}

func or[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Refuse returns the reply that refuses a recipient, nil to take it. It returns within Wait; before it waits for
// anything but memory it calls slow.
func (k *Keeper) Refuse(ctx context.Context, to mail.Address, slow func()) *smtp.Reply {
	source := k.sources.Load().of[to.Domain]
	switch {
	case source == nil || source.any:
		return nil
	case source.file != nil:
		if source.file.list.Load().Has(to) {
			return nil
		}
		return refusal("")
	}
	key := to.Canonical()
	if reply, ok := k.memory.recall(key, time.Now()); ok {
		return reply
	}
	slow()
	f, mine := k.board(key)
	if !mine {
		select {
		case <-f.done:
			return f.refuse
		case <-ctx.Done():
			return nil
		}
	}
	defer k.land(key, f)
	f.refuse = k.find(ctx, to, key)
	return f.refuse
}

// board returns the flight for a name; mine says that the caller must ask.
func (k *Keeper) board(key string) (f *flight, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.flights[key]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	k.flights[key] = f
	return f, true
}

func (k *Keeper) land(key string, f *flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.flights, key)
	close(f.done)
}

// find asks, remembers what was said, and tells of it.
func (k *Keeper) find(ctx context.Context, to mail.Address, key string) *smtp.Reply {
	start := time.Now()
	a := k.ask(ctx, to)
	now := time.Now()
	switch a.result {
	case event.RecipientKnown:
		k.memory.keep(key, nil, now.Add(k.cfg.Known))
	case event.RecipientUnknown:
		k.memory.keep(key, a.refuse, now.Add(k.cfg.Unknown))
	}
	k.cfg.Sink.Emit(event.RecipientAsked{To: to, Result: a.result, Host: a.host, Text: a.text, Took: now.Sub(start)})
	return a.refuse
}

// answer is what came of a question.
type answer struct {
	result event.RecipientResult
	refuse *smtp.Reply // for RecipientUnknown
	host   string      // who answered, "" for nobody
	text   string      // its words, or why there was no answer; escaped
}

// Run looks at files and closes connections that are not used until ctx ends, and then those that are left.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyPause)
	defer tick.Stop()
	for beat := 0; ; beat++ {
		select {
		case <-ctx.Done():
			k.close()
			return nil
		case <-tick.C:
		}
		k.tidy(time.Now())
		if beat%lookEvery == 0 {
			k.sources.Load().look(k.cfg.Sink)
		}
	}
}

// Connections are looked at every tidyPause, files every lookEvery-th time.
const (
	tidyPause = time.Second
	lookEvery = 5
)
