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

// Bounds of failures. After so many in a row the wait begins at a second and doubles. An account's own wait stays short,
// so that nobody can lock an administrator out by failing in his name; guessing is stopped by the wait of the client.
const (
	clientFailures, clientWait   = 5, 15 * time.Minute
	accountFailures, accountWait = 50, 30 * time.Second
	// forgetAfter is when a row of failures is over, and throttleSize how many rows are kept.
	forgetAfter  = time.Hour
	throttleSize = 10000
)

// throttle counts failed proofs by client and by account. The zero value is ready. Safe for concurrent use.
type throttle struct {
	mu   sync.Mutex
	rows map[string]failures
}

type failures struct {
	count  int
	newest time.Time
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

// wait is how long after its newest failure a row must rest.
func (f failures) wait(free int, most time.Duration) time.Duration {
	over := f.count - free
	if over < 0 {
		return 0
	}
	return min(most, time.Second<<min(over, 20))
}

// check returns *Throttled while a client or account has to wait.
func (t *throttle) check(client netip.Addr, name string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, a := t.rows[clientKey(client)], t.rows[accountKey(name)]
	until := c.newest.Add(c.wait(clientFailures, clientWait))
	if other := a.newest.Add(a.wait(accountFailures, accountWait)); other.After(until) {
		until = other
	}
	if now.Before(until) {
		return fmt.Errorf("%w", &Throttled{until})
	}
	return nil
}

// MayTry returns *Throttled while a client has to wait, whomever it will say it is.
func (s *Service) MayTry(c Client) error { return s.throttle.check(c.Addr, "", time.Now()) }

// failed counts one.
func (t *throttle) failed(client netip.Addr, name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows == nil {
		t.rows = map[string]failures{}
	}
	keys := []string{clientKey(client)}
	if name != "" { // a passkey that proves nothing names nobody
		keys = append(keys, accountKey(name))
	}
	for _, key := range keys {
		f := t.rows[key]
		if now.Sub(f.newest) > forgetAfter {
			f = failures{}
		}
		t.rows[key] = failures{f.count + 1, now}
	}
	t.bound(now)
}

// bound drops what is over, and if that is not enough the rows with the fewest failures: those cost a guesser least.
func (t *throttle) bound(now time.Time) {
	if len(t.rows) <= throttleSize {
		return
	}
	for key, f := range t.rows {
		if now.Sub(f.newest) > forgetAfter {
			delete(t.rows, key)
		}
	}
	for least := 1; len(t.rows) > throttleSize; least++ {
		for key, f := range t.rows {
			if f.count <= least && len(t.rows) > throttleSize {
				delete(t.rows, key)
			}
		}
	}
}

// succeeded forgets the failures of a client and of an account.
func (t *throttle) succeeded(client netip.Addr, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, clientKey(client))
	delete(t.rows, accountKey(name))
}
