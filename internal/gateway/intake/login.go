package intake

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"postern/internal/smtp"
)

// claim is who somebody says he is, and from where.
type claim struct {
	network netip.Prefix
	user    string
}

// Logins bounds what guessing passwords can reach and cost. A network, counted like a client of the Gate, may try so
// many wrong ones within a window. A user who has logged in from a network lately is counted by himself there, and his
// passwords are checked in a lane of their own: guesses of others, from his network or from everywhere, do not keep him
// out. Safe for concurrent use.
type Logins struct {
	lane     chan struct{} // one for each password being checked
	trusted  chan struct{} // the same, of users who were right before
	patience time.Duration // for a place in the lane

	mu       sync.Mutex // guards all below
	limit    int
	window   time.Duration
	failures map[claim]*failures
	right    map[claim]time.Time // last
}

// failures are those of a network, or of one user there. They are forgotten when the window is over.
type failures struct {
	count   int
	running int           // being checked now: each may become a failure
	until   time.Time     // end of the window, which begins with the first failure
	changed chan struct{} // closed when one has ended
}

const (
	parallelLogins = 4 // password checks at a time, half of them kept for known users: a good hash costs much memory
	rememberRight  = 24 * time.Hour
	maxClaims      = 10_000 // remembered of each kind; when there are more, those whose time is over go, then any
)

// NewLogins returns a memory of logins without failures, best one for the life of the process: a configuration that is
// read again must not give whoever guesses another try. Its bounds are those of the Intake that asks.
func NewLogins() *Logins { return newLogins(0, 0) }

// adjust sets the bounds.
func (l *Logins) adjust(limit int, window time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.window = limit, window
}

func newLogins(limit int, window time.Duration) *Logins {
	return &Logins{
		limit: limit, window: window, patience: 30 * time.Second,
		lane: make(chan struct{}, parallelLogins/2), trusted: make(chan struct{}, parallelLogins/2),
		failures: map[claim]*failures{}, right: map[claim]time.Time{},
	}
}

// begin asks whether a password may be checked now, and waits for a place. end tells how it went.
func (l *Logins) begin(ctx context.Context, who claim) (end func(right bool), no *smtp.Reply) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	later := func() *smtp.Reply { return smtp.NewReply(454, "4.7.0", "try again later") }
	lane, key := l.lane, claim{network: who.network}
	if l.known(who) {
		lane, key = l.trusted, who
	}
	f, refused := l.reserve(ctx, key)
	switch {
	case refused:
		return nil, smtp.NewReply(454, "4.7.0", "too many failed logins from your network, try again later")
	case f == nil:
		return nil, later()
	}
	select {
	case lane <- struct{}{}:
	case <-ctx.Done():
		l.ended(f, key, false)
		return nil, later()
	}
	return func(right bool) {
		<-lane
		l.ended(f, key, !right)
		if right {
			l.remember(who)
		}
	}, nil
}

func (l *Logins) known(who claim) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.right[who]
	return ok && time.Since(at) < rememberRight
}

func (l *Logins) remember(who claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bound(l.right, func(at time.Time) bool { return time.Since(at) >= rememberRight })
	l.right[who] = time.Now()
}

// reserve counts a check in that may become a failure. refused: too many have failed. While so many are running that
// they may be too many, it waits for one to end; nil means that ctx ended first.
func (l *Logins) reserve(ctx context.Context, key claim) (f *failures, refused bool) {
	for {
		f, refused, wait := l.tryReserve(key)
		if wait == nil {
			return f, refused
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// tryReserve returns what to wait for when there is no answer yet.
func (l *Logins) tryReserve(key claim) (f *failures, refused bool, wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f = l.failures[key]
	if f == nil {
		bound(l.failures, func(f *failures) bool { return f.running == 0 && !time.Now().Before(f.until) })
		f = &failures{changed: make(chan struct{})}
		l.failures[key] = f
	}
	if f.count > 0 && !time.Now().Before(f.until) {
		f.count = 0
	}
	switch {
	case f.count >= l.limit:
		return nil, true, nil
	case f.count+f.running >= l.limit:
		return nil, false, f.changed
	}
	f.running++
	return f, false, nil
}

func (l *Logins) ended(f *failures, key claim, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.running--
	if failed {
		if f.count++; f.count == 1 {
			f.until = time.Now().Add(l.window)
		}
	}
	close(f.changed)
	f.changed = make(chan struct{})
	if f.count == 0 && f.running == 0 && l.failures[key] == f {
		delete(l.failures, key)
	}
}

// bound keeps a map from growing for ever.
func bound[K comparable, V any](m map[K]V, over func(V) bool) {
	if len(m) < maxClaims {
		return
	}
	for k, v := range m {
		if over(v) {
			delete(m, k)
		}
	}
	for k := range m { // none was over: forget a tenth, so that this is done seldom
		if len(m) <= maxClaims*9/10 {
			return
		}
		delete(m, k)
	}
}
