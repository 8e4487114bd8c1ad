package accounts

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Throttled: too many proofs failed lately; the next one is looked at from Until on.
type Throttled struct{ Until time.Time }

// Error says so without the time, which callers show in their own words.
func (t *Throttled) Error() string { return "too many failed attempts; wait before the next one" }

// Say tells whoever has to wait how long.
func (t *Throttled) Say() string {
	left := time.Until(t.Until) + time.Second
	text := fmt.Sprintf("%d s", int(left.Seconds()))
	if left >= time.Minute {
		text = fmt.Sprintf("%d min", int(left.Minutes()))
	}
	return "Too many failed attempts. Try again in " + text + "."
}

// Bounds of failures. After so many in a row the wait begins at a second and doubles. What all the world can fill, the
// row of an account, has a short wait, and so has what somebody at the same address can fill, the row of an account
// where it is known: guessing is stopped by the wait of the client.
const (
	clientFailures, clientWait   = 5, 15 * time.Minute
	accountFailures, accountWait = 50, 30 * time.Second
	knownFailures, knownWait     = 5, 30 * time.Second
	sessionFailures, sessionWait = 5, 15 * time.Minute
	// forgetAfter is when a row of failures is over, knownFor how long an account is known where it signed in, and
	// throttleSize how many of each are kept.
	forgetAfter  = time.Hour
	knownFor     = 30 * 24 * time.Hour
	throttleSize = 10000
	// nameMost is the longest name or ID of an account.
	nameMost = 64
)

// throttle counts failed proofs. A proof is counted as a failure before it is examined, and given back when it was
// none: however many come at once, no more are examined than may fail. The zero value is ready. Safe for concurrent
// use.
//
// Which rows a proof is counted in decides who can make whom wait:
//
//	signing in                         the client, and the account for all clients together
//	the same where the account is      the account at this client, alone: neither the failures of others there nor
//	  known, for it signed in lately   those of the world are in the way
//	proving again, a new password      the session alone: whoever has none cannot fill its row
type throttle struct {
	mu    sync.Mutex
	rows  map[string]*failures
	known map[string]time.Time // by knownKey, and by clientKey for any account; last
}

type failures struct {
	count   int
	running int       // being examined: each may become a failure
	newest  time.Time // failure
	begun   time.Time // newest that was let in
}

// row is a place where a proof is counted, with its bounds.
type row struct {
	key  string
	free int
	most time.Duration
	// own: only who can succeed fills it, so that a success forgets what failed.
	own bool
}

// attempt is a proof that is being examined.
type attempt struct {
	t       *throttle
	rows    []row
	at      []*failures // of rows
	trusted bool        // strangers are not in its way
}

func clientKey(client netip.Addr) string {
	client = client.Unmap()
	if client.Is6() {
		if p, err := client.Prefix(64); err == nil {
			return "client " + p.String()
		}
	}
	return "client " + client.String()
}

func accountKey(name string) string { return "account " + strings.ToLower(name) }

// knownKey is an account, by name or ID, at a client.
func knownKey(client netip.Addr, who string) string { return clientKey(client) + " " + accountKey(who) }

func clientRow(client netip.Addr) row {
	return row{key: clientKey(client), free: clientFailures, most: clientWait}
}

func sessionRow(hash string) row {
	return row{key: "session " + hash, free: sessionFailures, most: sessionWait, own: true}
}

// signIn lets in a proof of who somebody is, or returns *Throttled. who is the name or ID that is claimed, "" where
// nobody is.
func (t *throttle) signIn(client netip.Addr, who string, now time.Time) (*attempt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(who) > nameMost {
		who = "" // it is nobody's, and not worth keeping
	}
	key := knownKey(client, who)
	if t.knows(key, now) {
		return t.begin(now, true, row{key: key, free: knownFailures, most: knownWait, own: true})
	}
	rows := []row{clientRow(client)}
	if who != "" {
		rows = append(rows, row{key: accountKey(who), free: accountFailures, most: accountWait})
	}
	return t.begin(now, false, rows...)
}

// MayTry returns *Throttled while a client has to wait, whomever it will say it is; nil where an account is known,
// since for that one it may not have to.
func (s *Service) MayTry(c Client) error {
	t, now := &s.throttle, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	key := clientKey(c.Addr)
	f := t.rows[key]
	if f == nil || t.knows(key, now) {
		return nil
	}
	if until := f.until(clientRow(c.Addr), now); now.Before(until) {
		s.putOff(signInRefused, "", c)
		return fmt.Errorf("%w", &Throttled{until})
	}
	return nil
}

// knows reports whether an account signed in lately, by a key of known.
func (t *throttle) knows(key string, now time.Time) bool {
	at, ok := t.known[key]
	return ok && now.Sub(at) < knownFor
}

// again lets in a proof by whoever holds a session, or returns *Throttled.
func (t *throttle) again(session string, now time.Time) (*attempt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begin(now, true, sessionRow(session))
}

// begin counts a proof in its rows, in all or in none.
func (t *throttle) begin(now time.Time, trusted bool, rows ...row) (*attempt, error) {
	var until time.Time
	for _, r := range rows {
		if f := t.rows[r.key]; f != nil && f.until(r, now).After(until) {
			until = f.until(r, now)
		}
	}
	if now.Before(until) {
		return nil, fmt.Errorf("%w", &Throttled{until})
	}
	if t.rows == nil {
		t.rows = map[string]*failures{}
	}
	a := &attempt{t: t, rows: rows, trusted: trusted}
	for _, r := range rows {
		f := t.rows[r.key]
		if f == nil {
			f = &failures{}
			t.rows[r.key] = f
		}
		f.running++
		f.begun = now
		a.at = append(a.at, f)
	}
	t.bound(now)
	return a, nil
}

// until is when a row lets in the next proof. What is being examined counts as if it had failed.
func (f *failures) until(r row, now time.Time) time.Time {
	if f.over(now) {
		f.count = 0
	}
	over := f.count + f.running - r.free
	if over < 0 {
		return time.Time{}
	}
	from := f.newest
	if f.running > 0 && f.begun.After(from) {
		from = f.begun
	}
	return from.Add(min(r.most, time.Second<<min(over, 20)))
}

// over reports whether the failures of a row are so old that they no longer count.
func (f *failures) over(now time.Time) bool { return now.Sub(f.newest) > forgetAfter }

// failed: it proved nothing.
func (a *attempt) failed() {
	a.ended(func(_ row, f *failures) {
		now := time.Now()
		if f.over(now) {
			f.count = 0
		}
		f.count++
		f.newest = now
	})
}

// succeeded: it proved what it claims. What others failed at stays: else who has an account would guess at another's
// without end, by signing in to his own between.
func (a *attempt) succeeded() {
	a.ended(func(r row, f *failures) {
		if r.own {
			f.count = 0
		}
	})
}

// unexamined: it came to no answer, and is given back.
func (a *attempt) unexamined() { a.ended(func(row, *failures) {}) }

func (a *attempt) ended(count func(r row, f *failures)) {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	for i, f := range a.at {
		f.running--
		count(a.rows[i], f)
		if f.running == 0 && f.count == 0 {
			delete(a.t.rows, a.rows[i].key)
		}
	}
}

// remember takes note that an account, by each of these names, signed in from a client.
func (t *throttle) remember(client netip.Addr, now time.Time, names ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[string]time.Time{}
	}
	t.known[clientKey(client)] = now
	for _, who := range names {
		t.known[knownKey(client, who)] = now
	}
	if len(t.known) <= throttleSize {
		return
	}
	for key, at := range t.known {
		if now.Sub(at) >= knownFor {
			delete(t.known, key)
		}
	}
	for key := range t.known { // forget a tenth, so that this is done seldom
		if len(t.known) <= throttleSize*9/10 {
			return
		}
		delete(t.known, key)
	}
}

// bound drops what is over, and if that is not enough the rows with the fewest failures: those cost a guesser least.
// What is being examined stays; it is bounded by whoever examines.
func (t *throttle) bound(now time.Time) {
	if len(t.rows) <= throttleSize {
		return
	}
	idle := 0
	for key, f := range t.rows {
		switch {
		case f.running > 0:
		case f.over(now):
			delete(t.rows, key)
		default:
			idle++
		}
	}
	for least := 1; idle > 0 && len(t.rows) > throttleSize; least++ {
		for key, f := range t.rows {
			if f.running == 0 && f.count <= least && len(t.rows) > throttleSize {
				delete(t.rows, key)
				idle--
			}
		}
	}
}
