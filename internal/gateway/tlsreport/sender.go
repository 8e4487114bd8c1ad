package tlsreport

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"postern/internal/dns"
	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/webclient"
	"postern/internal/history/tlscounts"
	"postern/internal/mail"
	"postern/internal/queue"
)

// Config is what a Sender needs. All of it must be set but for the times and numbers.
type Config struct {
	Counts *tlscounts.Book
	States *States
	// Names answers for the records of domains.
	Names interface {
		TXT(ctx context.Context, name mail.Domain) (dns.TXTAnswer, error)
	}
	// Author is who reports.
	Author Author
	// Sign puts a DKIM signature before a mail.
	Sign func(text []byte) ([]byte, error)
	// Store takes the mail, InForce judges it, and Wake lets the dispatcher know.
	Store   queue.Store
	InForce func() *inforce.View
	Wake    func(m *queue.Message, site queue.SiteKey, due time.Time)
	Random  func() uint32
	// Web speaks to web servers.
	Web *webclient.Client
	// Sink is told of what was sent and what was given up (event.ReportSent).
	Sink event.Sink
	// After is how long after the end of a day the first report goes (0: 30 min), Spread how long after that the last
	// (0: 4 h).
	After, Spread time.Duration
	// Patience is how long a report is tried since the first time (0: a day), Time how long one try may take (0: 2
	// min).
	Patience, Time time.Duration
	// AtOnce is how many reports are worked at together; 0 means 8.
	AtOnce int
	// Duty reports whether this gateway is the one of several that sends, for 30 s at least since it was last asked;
	// nil where there is one. It is asked before each round, and again and again while one goes on.
	Duty func(ctx context.Context) bool
}

// Author is who reports.
type Author struct {
	Organization string
	Contact      string
	From         mail.Address
	// Gateway is part of the identifiers: several gateways of one organization report each for itself.
	Gateway mail.Domain
}

// Sender sends reports. Run does; nothing else of it changes anything.
type Sender struct {
	cfg Config

	// Of Run alone: the newest day that is planned, and when each report is due, by its key.
	planned string
	due     map[string]item
}

// item is a report that is to be sent.
type item struct {
	day, domain string
	at          time.Time
}

// Days is how many days back reports are sent that were not: the gateway may have stood still.
const Days = 3

const tick = time.Minute

// New returns a Sender.
func New(cfg Config) *Sender {
	cfg.After, cfg.Spread = cmp.Or(cfg.After, 30*time.Minute), cmp.Or(cfg.Spread, 4*time.Hour)
	cfg.Patience, cfg.Time = cmp.Or(cfg.Patience, 24*time.Hour), cmp.Or(cfg.Time, 2*time.Minute)
	cfg.AtOnce = cmp.Or(cfg.AtOnce, 8)
	return &Sender{cfg: cfg, due: map[string]item{}}
}

// Run sends until ctx ends; what is being sent then is ended and tried again after the next start. The error is always
// nil.
func (s *Sender) Run(ctx context.Context) error {
	timer := time.NewTicker(tick)
	defer timer.Stop()
	failing := false
	for {
		if !s.onDuty(ctx) {
			s.planned = "" // who takes it up again looks at every day anew
			clear(s.due)
			if !pause(ctx, timer) {
				return nil
			}
			continue
		}
		err := s.plan(ctx, time.Now())
		if err != nil && !failing && ctx.Err() == nil {
			s.cfg.Sink.Emit(event.Warned{What: "tls reports", Text: "what is to be reported cannot be read: " +
				err.Error(),
				Hint: "check the disk of the data directory; it is tried again every minute, and mail is not " +
					"concerned"})
		}
		failing = err != nil
		end := s.keepDuty(ctx)
		s.work(ctx)
		end()
		if !pause(ctx, timer) {
			return nil
		}
	}
}

func (s *Sender) onDuty(ctx context.Context) bool { return s.cfg.Duty == nil || s.cfg.Duty(ctx) }

// dutyEvery is how often it is asked for while a round goes on.
const dutyEvery = 5 * time.Second

// keepDuty asks for it until end is called.
func (s *Sender) keepDuty(ctx context.Context) (end func()) {
	if s.cfg.Duty == nil {
		return func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTicker(dutyEvery)
		defer timer.Stop()
		for pause(ctx, timer) {
			s.cfg.Duty(ctx)
		}
	}()
	return func() { stop(); <-ended }
}

// pause waits for the next round; false means that ctx ended.
func pause(ctx context.Context, timer *time.Ticker) bool {
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// plan finds what is to be sent of days that are over, once for each new day.
func (s *Sender) plan(ctx context.Context, now time.Time) error {
	newest := tlscounts.Day(now.Add(-s.cfg.After).AddDate(0, 0, -1))
	switch {
	case newest == s.planned:
		return nil
	case newest < s.planned: // the clock was ahead, and those days come yet
		s.planned = ""
	}
	for n := Days - 1; n >= 0; n-- {
		if day := tlscounts.Day(now.Add(-s.cfg.After).AddDate(0, 0, -1-n)); day > s.planned {
			if err := s.planDay(ctx, day); err != nil {
				return err
			}
		}
	}
	s.planned = newest
	return s.cfg.States.forget(ctx, tlscounts.Day(now.Add(-tlscounts.Keep)))
}

func (s *Sender) planDay(ctx context.Context, day string) error {
	domains, err := s.cfg.Counts.Domains(ctx, day)
	if err != nil || len(domains) == 0 {
		return err
	}
	known := map[string]*Report{}
	list, err := s.cfg.States.ofDay(ctx, day)
	if err != nil {
		return err
	}
	for i := range list {
		known[list[i].Domain] = &list[i]
	}
	for _, domain := range domains {
		at := s.moment(day, domain)
		if r := known[domain]; r != nil {
			if r.State.Final() {
				continue
			}
			at = r.Next
		}
		s.due[tlscounts.Key(day, domain)] = item{day, domain, at}
	}
	return nil
}

// moment is when the report of a day to a domain is sent.
func (s *Sender) moment(day, domain string) time.Time {
	begin, _ := time.Parse(time.DateOnly, day) // the zero time for a day that cannot be: it is over
	h := fnv.New64a()
	_, _ = h.Write([]byte(domain + " " + s.cfg.Author.Gateway.String())) // it takes everything
	return begin.AddDate(0, 0, 1).Add(s.cfg.After + time.Duration(h.Sum64()%uint64(s.cfg.Spread)))
}

// work does what is due, so many at a time, and returns when all of it was tried.
func (s *Sender) work(ctx context.Context) {
	now := time.Now()
	var list []item
	for _, i := range s.due {
		if !i.at.After(now) {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b item) int { return a.at.Compare(b.at) })
	places := make(chan struct{}, s.cfg.AtOnce)
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, i := range list {
		select {
		case <-ctx.Done():
		case places <- struct{}{}:
			group.Go(func() {
				defer func() { <-places }()
				next := s.try(ctx, i)
				mu.Lock()
				defer mu.Unlock()
				if key := tlscounts.Key(i.day, i.domain); next.IsZero() {
					delete(s.due, key)
				} else {
					s.due[key] = item{i.day, i.domain, next}
				}
			})
		}
	}
	group.Wait()
}
