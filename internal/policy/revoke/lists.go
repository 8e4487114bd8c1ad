package revoke

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
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

	mu    sync.Mutex // guards what follows and the fields of entries
	known map[string]*entry
	// bytes that lists take in memory: those that are there, that are being read and that are being fetched
	loaded int64
	// changed is closed, and made anew, when memory may have become free.
	changed chan struct{}
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

	pins     int     // how many look at the list, or wait for it
	busy     int     // how many bring it
	replaced []int64 // sizes of lists that were replaced while somebody looked at them
}

// keepUnused is how long a list is kept, and kept fresh, that nobody asks for.
const keepUnused = 14 * 24 * time.Hour

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
	l := &lists{cfg: cfg, known: map[string]*entry{}, changed: make(chan struct{})}
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

// due is when the list is fetched again: at three quarters of its life, or, where it came later than that, after half
// of what was left of it then.
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
func (c *Checker) askLists(ctx context.Context, q *question, points []point,
	why *reasons) (policy.RevocationAnswer, bool) {
	for i, p := range points {
		part, cancel := share(ctx, len(points)-i)
		v, counts, err := c.askList(part, q, p)
		cancel()
		if counts {
			return v.answer("crl", "the CRL at "+said(p.url), q), true
		}
		why.add("the CRL at "+said(p.url), err)
	}
	return policy.RevocationAnswer{}, false
}

// askList asks one list, which stays in memory meanwhile. counts: v is an answer; else err says why not.
func (c *Checker) askList(ctx context.Context, q *question, p point) (v verdict, counts bool, err error) {
	e := c.lists.entry(p.url, q.issuer, time.Now())
	defer c.lists.unpin(e)
	list, fresh, err := c.list(ctx, e)
	if list == nil {
		return verdict{}, false, err
	}
	v, judged := list.judge(q, p)
	if judged != nil {
		return verdict{}, false, judged
	}
	return v, fresh || v.revoked && v.reason != hold, err
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

// list returns the list of an entry that is pinned. fresh says that it is in force; where it is not, err says why
// nothing better is there, and list may still be the last one we had.
func (c *Checker) list(ctx context.Context, e *entry) (list *crl, fresh bool, err error) {
	done := c.start(e)
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

// start begins to bring the list of an entry into memory; done is nil where that is not needed, or where it was tried
// in vain a moment ago.
func (c *Checker) start(e *entry) (done <-chan struct{}) {
	list, fresh, recent := c.lists.look(e, time.Now())
	if list != nil && fresh || recent != nil {
		return nil
	}
	return c.fly("crl "+e.key, func(ctx context.Context) { c.obtain(ctx, e) })
}

// entry returns the entry of a list, a new one if it was unknown, and pins it: its list stays in memory, once it is
// there, until unpin.
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
	e.pins++
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
	defer c.lists.work(e)()
	now := time.Now()
	if c.lists.load(ctx, e) && c.lists.inForce(e, now) {
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
func (l *lists) load(ctx context.Context, e *entry) bool {
	l.mu.Lock()
	have, kept := e.list != nil, e.kept
	l.mu.Unlock()
	if have || !kept {
		return have
	}
	list, err := l.disk.read(ctx, e, &buffer{lists: l})
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(err, errRoom) {
		e.tried, e.failed = time.Now(), err
		return false
	}
	if err != nil {
		e.kept, e.this, e.next = false, time.Time{}, time.Time{}
		return false
	}
	l.put(e, list)
	return true
}

// fetch asks the address for a new list. The last good one stays where that fails.
func (c *Checker) fetch(ctx context.Context, e *entry) {
	in := &buffer{lists: c.lists}
	list, der, err := c.download(ctx, e, in)
	if err != nil && c.ctx.Err() != nil {
		c.lists.waste(list)
		return // the gateway stops: nobody failed
	}
	now := time.Now()
	if err == nil {
		err = inForce(list, now)
	}
	if c.lists.note(e, list, err, now) && c.keep(e, list, der, now) {
		c.lists.keptOnDisk(e)
	}
}

// download brings a list, and the octets it was made of, through a buffer.
func (c *Checker) download(ctx context.Context, e *entry, in *buffer) (*crl, []byte, error) {
	err := c.http.list(ctx, e.url, c.cfg.MaxList, in)
	if err == nil {
		err = in.unarmour()
	}
	if err != nil {
		in.drop()
		return nil, nil, err
	}
	der := in.bytes
	list, err := in.list(e.issuer, der)
	return list, der, err
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
// the place of the one before; an older one never replaces a newer one. Both happen in one step: whoever sees that a
// list ran out must see the list too, which may say that the certificate was revoked.
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
	if list == nil {
		return false
	}
	if older || list.this.After(now.Add(skew)) {
		l.give(list.size)
		return false
	}
	e.fetched = now
	l.put(e, list)
	return true
}

// keptOnDisk takes note that the list of the entry is on disk.
func (l *lists) keptOnDisk(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.kept = true
}

// put holds a list in memory, which has reserved its size. The caller holds the lock.
func (l *lists) put(e *entry, list *crl) {
	switch {
	case e.list != nil && e.pins > 0: // somebody may be looking at it
		e.replaced = append(e.replaced, e.list.size)
	default:
		l.unload(e)
	}
	e.list, e.this, e.next = list, list.this, list.next
}

// waste gives back the memory of a list that is not used. nil is none.
func (l *lists) waste(list *crl) {
	if list != nil {
		l.release(list.size)
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
	if e := l.oldest((*entry).idle); e != nil {
		l.forget(e)
	}
}

// forget removes an entry and its file. The caller holds the lock.
func (l *lists) forget(e *entry) {
	l.unload(e)
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
