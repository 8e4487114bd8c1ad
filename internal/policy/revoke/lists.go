package revoke

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"postern/internal/policy"
)

// lists are the revocation lists we know, by address and issuer.
type lists struct {
	cfg  Config
	disk *disk // nil: nothing is kept on disk

	mu     sync.Mutex // guards what follows and the fields of entries
	known  map[string]*entry
	loaded int64 // bytes of lists in memory
}

// entry is one list: what we have, and how the last fetch went.
type entry struct {
	key    string
	url    string
	issuer *x509.Certificate

	list       *crl // nil: not in memory
	kept       bool // on disk
	this, next time.Time
	fetched    time.Time // when the newest list came
	used       time.Time // when somebody last asked
	tried      time.Time // when a fetch last failed; zero after one that did not
	failed     error
}

// keepUnused is how long a list is kept, and kept fresh, that nobody asks for.
const keepUnused = 14 * 24 * time.Hour

// inUse is how long a list stays in memory for whoever asked for it, however little memory there is.
const inUse = 10 * time.Second

// maxLists bounds the lists we know.
const maxLists = 4096

func listKey(url string, issuer *x509.Certificate) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(url), url)
	h.Write(issuer.RawSubject)
	h.Write(issuer.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(h.Sum(nil)[:20])
}

func openLists(cfg Config) (*lists, error) {
	l := &lists{cfg: cfg, known: map[string]*entry{}}
	if cfg.Dir == "" {
		return l, nil
	}
	l.disk = &disk{cfg.Dir}
	found, err := l.disk.open()
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		if len(l.known) < maxLists {
			l.known[e.key] = e
		}
	}
	return l, nil
}

// valid reports whether the list of the entry says at now who is not revoked.
func (e *entry) valid(now time.Time) bool {
	return !e.next.IsZero() && !now.After(e.next.Add(skew)) && !e.this.After(now.Add(skew))
}

// due is when the list is fetched again: at three quarters of its life, or, where it came later than that, after half of
// what was left of it then.
func (e *entry) due() time.Time {
	at := e.this.Add(e.next.Sub(e.this) / 4 * 3)
	if late := e.fetched.Add(max(e.next.Sub(e.fetched)/2, time.Minute)); late.After(at) {
		return late
	}
	return at
}

// ripe reports whether the list should be fetched again now. Where that fails it is tried ever more seldom. A list that
// never came is not fetched before somebody asks for it.
func (e *entry) ripe(now time.Time) bool {
	due := e.due()
	pause := max(5*time.Minute, now.Sub(due)/4)
	return !e.next.IsZero() && !now.Before(due) && (e.tried.IsZero() || now.Sub(e.tried) >= pause)
}

// askLists looks the certificate up at its distribution points. It returns false, and why, where none knows.
func (c *Checker) askLists(ctx context.Context, q *question, points []point, why *reasons) (policy.RevocationAnswer, bool) {
	for i, p := range points {
		part, cancel := share(ctx, len(points)-i)
		list, fresh, err := c.list(part, p.url, q.issuer)
		cancel()
		if list == nil {
			why.add("the CRL at "+said(p.url), err)
			continue
		}
		v, judged := list.judge(q, p)
		if judged == nil && v.revoked && (fresh || v.reason != hold) || judged == nil && fresh {
			return v.answer("crl", "the CRL at "+said(p.url), q), true
		}
		if judged == nil {
			judged = err
		}
		why.add("the CRL at "+said(p.url), judged)
	}
	return policy.RevocationAnswer{}, false
}

// judge says what the list says about the certificate that came by p.
func (l *crl) judge(q *question, p point) (verdict, error) {
	if err := l.scope.covers(q, p); err != nil {
		return verdict{}, err
	}
	v := verdict{this: l.this, next: l.next}
	h, err := l.find(q.cert.SerialNumber)
	if h != nil {
		v.revoked, v.at, v.reason = true, h.at, h.reason
	}
	return v, err
}

// list returns the list at url. fresh says that it is in force; where it is not, err says why nothing better is there, and
// list may still be the last one we had.
func (c *Checker) list(ctx context.Context, url string, issuer *x509.Certificate) (list *crl, fresh bool, err error) {
	e, done := c.start(url, issuer)
	var waited error
	if done != nil {
		waited = c.wait(ctx, done)
	}
	list, fresh, recent := c.lists.look(e, time.Now())
	switch {
	case fresh && list != nil:
		return list, true, nil
	case recent != nil:
		return list, false, recent
	case waited != nil:
		return list, false, waited
	}
	return list, false, errGone
}

// start begins to bring the list at url into memory; done is nil where that is not needed, or where it was tried in vain
// a moment ago.
func (c *Checker) start(url string, issuer *x509.Certificate) (e *entry, done <-chan struct{}) {
	now := time.Now()
	e = c.lists.entry(url, issuer, now)
	list, fresh, recent := c.lists.look(e, now)
	if list != nil && fresh || recent != nil {
		return e, nil
	}
	return e, c.fly("crl "+e.key, func(ctx context.Context) { c.obtain(ctx, e) })
}

// entry returns the entry of a list, a new one if it was unknown.
func (l *lists) entry(url string, issuer *x509.Certificate, now time.Time) *entry {
	key := listKey(url, issuer)
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.known[key]
	if e == nil {
		e = &entry{key: key, url: url, issuer: issuer}
		if len(l.known) >= maxLists {
			l.forgetOldest()
		}
		l.known[key] = e
	}
	if e.kept && now.Sub(e.used) > time.Hour {
		l.disk.touch(e.key, now)
	}
	e.used = now
	return e
}

// look returns the list in memory, whether it is in force, and, where it is not, why a new fetch would be too early.
func (l *lists) look(e *entry, now time.Time) (list *crl, fresh bool, recent error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.valid(now) {
		return e.list, true, nil
	}
	if !e.tried.IsZero() && now.Sub(e.tried) < again {
		recent = e.failed
	}
	return e.list, false, recent
}

// obtain brings the list into memory: from disk, or, where none in force is there, from its address.
func (c *Checker) obtain(ctx context.Context, e *entry) {
	now := time.Now()
	if c.lists.load(e) && c.lists.inForce(e, now) {
		return
	}
	c.fetch(ctx, e)
}

func (l *lists) inForce(e *entry, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.list != nil && e.valid(now)
}

// load reads the list from disk if it is there and not in memory. What cannot be read is fetched anew.
func (l *lists) load(e *entry) bool {
	l.mu.Lock()
	have, kept := e.list != nil, e.kept
	l.mu.Unlock()
	if have || !kept {
		return have
	}
	der, err := l.disk.read(e.key)
	var list *crl
	if err == nil {
		list, err = readCRL(der, e.issuer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		e.kept, e.this, e.next = false, time.Time{}, time.Time{}
		return false
	}
	l.put(e, list, time.Now())
	return true
}

// fetch asks the address for a new list. The last good one stays where that fails.
func (c *Checker) fetch(ctx context.Context, e *entry) {
	content, err := c.http.get(ctx, e.url, c.cfg.MaxList)
	var list *crl
	if err == nil {
		list, err = readCRL(unarmoured(content), e.issuer)
	}
	if err != nil && c.ctx.Err() != nil {
		return // the gateway stops: nobody failed
	}
	now := time.Now()
	if err == nil {
		err = inForce(list, now)
	}
	if c.lists.note(e, list, err, now) && c.keep(e, list, unarmoured(content), now) {
		c.lists.keptOnDisk(e)
	}
}

// keep writes a list to disk and reports whether it is there.
func (c *Checker) keep(e *entry, list *crl, der []byte, now time.Time) bool {
	if c.lists.disk == nil {
		return false
	}
	if err := c.lists.disk.write(e, list, der, now); err != nil {
		c.cfg.Warn(fmt.Errorf("a CRL cannot be kept on disk: %w", err))
		return false
	}
	return true
}

// inForce says why a list that came does not count at now.
func inForce(list *crl, now time.Time) error {
	switch {
	case list.next.IsZero():
		return errors.New("it does not say when the next one comes, so nobody knows whether it is the newest")
	case list.this.After(now.Add(skew)):
		return fmt.Errorf("it is from the future (%s)", date(list.this))
	case list.next.Before(now.Add(-skew)):
		return fmt.Errorf("it ran out at %s", date(list.next))
	}
	return nil
}

// note takes note of a fetch: list is nil where none came, err why it does not count. It returns whether the list took
// the place of the one before; an older one never replaces a newer one. Both happen in one step: whoever sees that a list
// ran out must see the list too, which may say that the certificate was revoked.
func (l *lists) note(e *entry, list *crl, err error, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	older := list != nil && list.this.Before(e.this)
	if older && err == nil {
		e.fetched = now
		if !e.valid(now) {
			err = errors.New("it is older than the one before, which ran out")
		}
	}
	e.tried, e.failed = time.Time{}, nil
	if err != nil {
		e.tried, e.failed = now, err
	}
	if list == nil || older || list.this.After(now.Add(skew)) {
		return false
	}
	e.fetched = now
	l.put(e, list, now)
	return true
}

// keptOnDisk takes note that the list of the entry is on disk.
func (l *lists) keptOnDisk(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.kept = true
}

// put holds a list in memory and lets go of others where that is too much. The caller holds the lock.
func (l *lists) put(e *entry, list *crl, now time.Time) {
	if e.list != nil {
		l.loaded -= e.list.size
	}
	e.list, e.this, e.next = list, list.this, list.next
	l.loaded += list.size
	for l.loaded > l.cfg.Memory {
		oldest := l.oldest(func(other *entry) bool {
			return other != e && other.list != nil && now.Sub(other.used) > inUse
		})
		if oldest == nil {
			return
		}
		l.loaded -= oldest.list.size
		oldest.list = nil
		if !oldest.kept {
			delete(l.known, oldest.key)
		}
	}
}

// oldest returns the entry that was not used for longest among those that fit, nil if none does.
func (l *lists) oldest(fits func(*entry) bool) *entry {
	var out *entry
	for _, e := range l.known {
		if fits(e) && (out == nil || e.used.Before(out.used)) {
			out = e
		}
	}
	return out
}

func (l *lists) forgetOldest() {
	if e := l.oldest(func(*entry) bool { return true }); e != nil {
		l.forget(e)
	}
}

// forget removes an entry and its file. The caller holds the lock.
func (l *lists) forget(e *entry) {
	if e.list != nil {
		l.loaded -= e.list.size
	}
	if e.kept {
		l.disk.remove(e.key)
	}
	delete(l.known, e.key)
}

// forgive forgets that fetches failed.
func (l *lists) forgive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.known {
		e.tried, e.failed = time.Time{}, nil
	}
}

// unarmoured takes a PEM armour off, which some servers send though RFC 5280 §4.2.1.13 asks for plain DER.
func unarmoured(content []byte) []byte {
	if block, _ := pem.Decode(content); block != nil && bytes.HasPrefix(content, []byte("-----BEGIN")) {
		return block.Bytes
	}
	return content
}
