package dispatch

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/fate"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
	"postern/internal/queue/schedule"
)

// Opener climbs ladders; *deliver.Deliverer is one.
type Opener interface {
	Open(ctx context.Context, site string, plan *route.Plan, r policy.Requirement,
		admit deliver.Admission) deliver.Climbed
}

// Config is what a Dispatcher needs. Store, Opener, InForce and Sink must be set, Hostname and Postmaster too.
type Config struct {
	Store  queue.Store
	Opener Opener
	// InForce returns what is in force now. While its View has an error nothing is sent.
	InForce func() *inforce.View
	Sink    event.Sink
	// Others are the other gateways of the store; nil says that there are none. With others the store goes by a clock
	// of its own and tells times by that of this machine as it stands (storeclock).
	Others Others
	// Overlooked returns, with Others, sites at which something is due that nobody has claimed, because a gateway was
	// told of it that is busy, or gone. It is asked every second and so costs little; nil returns none. Of the same
	// site it may tell again and again.
	Overlooked func(ctx context.Context) ([]queue.SiteKey, error)
	// Room says why what becomes of a delivery could not be stored now: then nothing is begun. nil: it can.
	Room func() error
	// Book keeps which names of mail hosts are known; nil remembers none.
	Book *mxpins.Book

	Hostname   mail.Domain  // names the gateway in notices
	Postmaster mail.Address // writes them

	Schedule schedule.Config
	// Lifetime is how long ordinary mail may wait (0: mail.Lifetime), DelayNotice when the one notice is due (0: 2 h,
	// below 0: never).
	Lifetime, DelayNotice time.Duration
	// NoticesPerAddress and NoticesToStrangers bound the notices of an hour about mail from the world, to one address
	// and to all that are not served here; more are held. 0 is no bound. Ours reports whether a message came from our
	// own side, nil of none.
	NoticesPerAddress, NoticesToStrangers int
	Ours                                  func(*queue.Inbound) bool
	// UnsignedNo is how long an unsigned "nobody takes mail for this domain" must have stood before it ends forced
	// mail; 0 is an hour, below 0 nothing is waited for.
	UnsignedNo time.Duration
	// Retention is how long finished records are kept; 0 means 90 days.
	Retention time.Duration
	// Lease is how long a claim lasts unless extended (0: 10 min), Linger how long an idle channel waits for more mail
	// of its site (0: 1 s), Grace how long running transfers may take after the end of Run's context (0: 25 s).
	Lease, Linger, Grace time.Duration
	// Sweep is how often deadlines are looked at, and so how late a notice or an expiry may be; 0 is a second.
	Sweep time.Duration
	// Batch bounds the deliveries of one claim; 0 means 50.
	Batch int
	// Random supplies the random bits of queue ids.
	Random func() uint32
	// Worker names this gateway in leases.
	Worker string
	Seed   uint64 // of the scheduler's jitter
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Lifetime, mail.Lifetime)
	def(&c.DelayNotice, 2*time.Hour)
	def(&c.UnsignedNo, time.Hour)
	def(&c.Retention, 90*24*time.Hour)
	def(&c.Lease, 10*time.Minute)
	def(&c.Linger, time.Second)
	def(&c.Grace, 25*time.Second)
	def(&c.Sweep, time.Second)
	if c.Batch == 0 {
		c.Batch = 50
	}
	if len(c.Schedule.Retry) == 0 {
		c.Schedule.Retry = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}
	}
	return c
}

// Dispatcher empties the queue. Run it once; its other methods are safe for concurrent use.
type Dispatcher struct {
	cfg  Config
	poke chan struct{} // capacity 1: look at the schedule again
	born time.Time     // of the Dispatcher, for the monotonic clock
	// lanes makes lanes of submitters.
	lanes maphash.Seed
	// longest is the longest wait for a try; horizon is how far ahead a deadline is set at most, so that a later one is
	// known to be of another clock.
	longest, horizon time.Duration

	mu        sync.Mutex // guards what follows
	sched     *schedule.Scheduler
	clock     clock
	jumped    time.Duration // of the clock, and not told yet
	running   map[*run]bool
	runs      map[*schedule.Place]*run // those that hold a place
	lingering map[queue.SiteKey][]*run // those that wait with an open channel
	broken    map[route.NextHop]map[queue.SiteKey]brokenSite
	changed   map[string]time.Time // changes of mail hosts that were told, and when
	refused   refusals

	fates *fate.Decider

	workers sync.WaitGroup
	changes chan struct{} // capacity 1: something else is in force
	lost    chan error    // capacity 1: the store is broken for good
	began   time.Time     // of Run; set before anything else runs
	purging time.Time     // when the duty to purge was given last; see purges
}

// leastHorizon keeps deadlines of a moment within the horizon.
const leastHorizon = 24 * time.Hour

// New returns a Dispatcher.
func New(cfg Config) *Dispatcher {
	cfg = cfg.withDefaults()
	cfg.Schedule.OwnSite = ownSite
	longest := cfg.Schedule.Longest()
	d := &Dispatcher{
		cfg:       cfg,
		born:      time.Now(),
		clock:     clock{shared: cfg.Others != nil},
		longest:   longest,
		horizon:   max(cfg.Lifetime, longest, leastHorizon),
		poke:      make(chan struct{}, 1),
		changes:   make(chan struct{}, 1),
		lost:      make(chan error, 1),
		sched:     schedule.New(cfg.Schedule, cfg.Seed),
		running:   make(map[*run]bool),
		runs:      make(map[*schedule.Place]*run),
		lanes:     maphash.MakeSeed(),
		lingering: make(map[queue.SiteKey][]*run),
		broken:    make(map[route.NextHop]map[queue.SiteKey]brokenSite),
		refused:   refusals{},
		changed:   make(map[string]time.Time),
	}
	d.fates = fate.NewDecider(fate.Config{
		Mail: cfg.Store, InForce: cfg.InForce, Sink: cfg.Sink, Accepted: d.accepted,
		Hostname: cfg.Hostname, Postmaster: cfg.Postmaster, Random: cfg.Random,
		Lifetime: cfg.Lifetime, DelayNotice: cfg.DelayNotice, Horizon: d.horizon, Retry: cfg.Schedule.Retry,
		NoticesPerAddress: cfg.NoticesPerAddress, NoticesToStrangers: cfg.NoticesToStrangers, Ours: cfg.Ours,
	})
	return d
}

// Run loads the sites and works until ctx ends; then it starts nothing more, gives running transfers the grace, and
// returns when every goroutine of its own has ended. The error is that of loading, or of a store that is broken for
// good and must be opened anew, or nil.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.began = time.Now()
	if err := d.load(ctx); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var chores sync.WaitGroup
	chores.Go(func() { d.sweepLoop(ctx) })
	chores.Go(func() { d.tidyLoop(ctx) })
	chores.Go(func() { d.changeLoop(ctx) })
	chores.Go(func() { d.othersLoop(ctx) })
	err := d.loop(ctx, sending)
	end()
	stop := time.AfterFunc(d.cfg.Grace, cut)
	defer stop.Stop()
	d.workers.Wait()
	chores.Wait()
	return err
}

// recentDeliveries is how many of the newest deliveries are looked at, at start, for the sites that took mail lately.
const recentDeliveries = 100_000

// load tells the scheduler what waited when the process began, and who took mail lately.
func (d *Dispatcher) load(ctx context.Context) error {
	sites, err := d.cfg.Store.Sites(ctx)
	if err != nil {
		return err
	}
	took, err := d.cfg.Store.TookMail(ctx, time.Now().Add(-d.cfg.Schedule.Known()), recentDeliveries)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, at := range took {
		d.sched.TookMail(string(key), at)
	}
	for _, s := range sites {
		var due time.Time
		if s.Queued > 0 {
			due = s.Earliest
		}
		d.sched.Load(string(s.Key), due, s.Failures, s.Since, s.RetryAt)
		if s.Failures > 0 {
			d.markBroken(serversOf(s.NextHop), s.Key, s.Requirement)
		}
	}
	return nil
}

// loop starts workers as the schedule allows. The error is that of a store that is lost.
func (d *Dispatcher) loop(ctx, sending context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(d.start(ctx, sending))
		select {
		case <-ctx.Done():
			return nil
		case err := <-d.lost:
			return err
		case <-d.poke:
		case <-timer.C:
		}
	}
}

// start starts every worker that may start now and returns how long until one may again.
func (d *Dispatcher) start(ctx, sending context.Context) time.Duration {
	if !d.live() {
		return othersPause
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.among()
	for {
		p, ok := d.sched.Next(d.now())
		if !ok {
			break
		}
		r := newRun(d, p, sending)
		d.runs[p] = r
		d.running[r] = true
		d.workers.Go(func() { r.work(ctx, sending) })
	}
	for _, p := range d.sched.Rouse() {
		d.runs[p].rouse()
	}
	for _, p := range d.sched.Evict() {
		d.runs[p].dismiss(p.Lingers())
	}
	at, ok := d.sched.Wake()
	if !ok {
		return time.Hour
	}
	return max(time.Until(at), time.Millisecond)
}

// reschedule has the loop look at the schedule again.
func (d *Dispatcher) reschedule() {
	select {
	case d.poke <- struct{}{}:
	default:
	}
}

// Wake tells that something of message m waits at site from due on. What is due now is taken by a worker lingering
// there, if there is one; else one is started when the time comes.
func (d *Dispatcher) Wake(m *queue.Message, site queue.SiteKey, due time.Time) {
	origin := d.origin(m)
	d.mu.Lock()
	var waiting []*run
	if !due.After(time.Now()) {
		waiting = d.lingering[site]
	}
	for _, r := range waiting {
		if r.rouse() {
			d.mu.Unlock()
			return
		}
	}
	d.sched.Added(string(site), due, origin)
	d.mu.Unlock()
	d.reschedule()
}

// Kick makes sites due now, whatever their backoff.
func (d *Dispatcher) Kick(_ context.Context, sites ...queue.SiteKey) {
	d.mu.Lock()
	now := d.now()
	for _, s := range sites {
		d.sched.Kick(string(s), now)
	}
	d.mu.Unlock()
	d.reschedule()
}

// Changed says that something else is in force. What waits is held against it, soon; what has to go elsewhere or needs
// more waits at its new site. Sites of mail that is protected are tried at once, for what fell short may pass now.
func (d *Dispatcher) Changed() {
	select {
	case d.changes <- struct{}{}:
	default:
	}
}

// warn emits something an administrator should look at.
func (d *Dispatcher) warn(what string, err error, hint string) {
	d.cfg.Sink.Emit(event.Warned{What: what, Text: err.Error(), Hint: hint})
}

// storeFailed warns of an error of the store. One that is broken for good ends Run.
func (d *Dispatcher) storeFailed(err error, hint string) {
	d.warn("queue", err, hint)
	if errors.Is(err, queue.ErrBroken) {
		select {
		case d.lost <- err:
		default:
		}
	}
}
