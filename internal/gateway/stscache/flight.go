package stscache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy/sts"
)

// maxFlights is how many domains are asked at a time. Most announce nothing and take no more than a question to DNS.
const maxFlights = 10_000

// flight is one asking of one domain.
type flight struct {
	domain    mail.Domain
	began     time.Time
	force     atomic.Bool // it fetches whatever the record's id is
	announced atomic.Bool // there is a record
	done      chan struct{}

	// What follows is set before done is closed.
	result  *known
	forced  bool // force was set in time
	fetched bool
	err     error // of the store
}

// wait waits until the asking is over or the limit has passed since it began. The error is that of ctx.
func (f *flight) wait(ctx context.Context, limit time.Duration) (over bool, err error) {
	timer := time.NewTimer(limit - time.Since(f.began))
	defer timer.Stop()
	select {
	case <-f.done:
	case <-ctx.Done():
		return false, ctx.Err()
	case <-timer.C:
		select {
		case <-f.done:
		default:
			return false, nil
		}
	}
	return true, nil
}

// notYet says what is known of a domain that is still being asked.
func (f *flight) notYet(limit time.Duration) Note {
	if f.announced.Load() {
		return Note{NotYet, fmt.Sprintf("the domain announces a policy that could not be fetched within %v; the "+
			"fetch goes on", limit)}
	}
	return Note{NotYet, fmt.Sprintf("whether the domain has a policy could not be found out within %v; it goes on "+
		"being asked", limit)}
}

// fly asks a domain, or joins whoever does already, and returns the asking; nil when there are too many.
func (c *Cache) fly(domain mail.Domain, force bool) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[domain]; f != nil {
		if force {
			f.force.Store(true)
		}
		return f
	}
	f := &flight{domain: domain, began: time.Now(), done: make(chan struct{})}
	f.force.Store(force)
	switch {
	case c.closed:
		f.err = errClosed
		close(f.done)
		return f
	case len(c.flights) >= maxFlights:
		return nil
	}
	c.flights[domain] = f
	c.group.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Time)
		defer cancel()
		f.err = c.renew(ctx, f)
		c.mu.Lock()
		delete(c.flights, domain)
		c.mu.Unlock()
		close(f.done)
	})
	return f
}

// renew asks for the policy of a domain and keeps what comes of it. The error is that of the store.
func (c *Cache) renew(ctx context.Context, f *flight) error {
	was, err := c.read(ctx, f.domain)
	if err != nil {
		return err
	}
	if !was.inForce(time.Now()) {
		was = nil
	}
	id, note := c.record(ctx, f.domain)
	f.announced.Store(note.Kind == "")
	if note.Kind == NoRecord && was != nil {
		note = Note{RecordGone, note.Text + " any more"}
	}
	var policy *sts.Policy
	f.forced = f.force.Load()
	if worthFetching(was, id, note.Kind, f.forced, time.Now()) {
		policy, note = c.fetch(ctx, f.domain)
	}
	if c.ctx.Err() != nil {
		return errClosed // nothing was learnt
	}
	// Its time may be over, and what became of it is still to be noted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writing)
	defer cancel()
	return c.settle(ctx, f, was, id, policy, note)
}

// worthFetching decides by the table in the package comment.
func worthFetching(was *kept, id string, record Kind, force bool, now time.Time) bool {
	switch {
	case record == NoRecord || record == RecordGone || record == RecordInvalid:
		return false
	case was == nil:
		return record == ""
	case force || record == "" && id != was.ID:
		return true
	}
	return was.Until.Sub(now) < was.Until.Sub(was.Fetched)/2
}

// record asks DNS for the id of the policy.
func (c *Cache) record(ctx context.Context, domain mail.Domain) (id string, note Note) {
	name := below("_mta-sts", domain)
	answer, err := c.cfg.Resolver.TXT(ctx, name)
	if err != nil && !dns.IsNXDomain(err) {
		return "", Note{RecordUnknown, "the record " + name.String() + " cannot be looked up: " +
			dns.KindOf(err).String()}
	}
	r, err := sts.ParseRecord(answer.Texts)
	switch {
	case err == nil:
		return r.ID, Note{}
	case err == sts.ErrNoRecord:
		return "", Note{NoRecord, "there is no record " + name.String()}
	}
	return "", Note{RecordInvalid, err.Error()}
}

// fetch fetches the policy when there is a slot. What a host cannot do in the rest of a time that it mostly waited for
// a slot is no fault of the host's.
func (c *Cache) fetch(ctx context.Context, domain mail.Domain) (*sts.Policy, Note) {
	busy := Note{Busy, "too many other policies are being fetched"}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, busy
	}
	defer func() { <-c.slots }()
	if ctx.Err() != nil {
		return nil, busy
	}
	began := time.Now()
	p, err := c.cfg.Fetcher.Fetch(ctx, domain)
	switch failure, ours := err.(*Failure); {
	case err == nil:
		return &p, Note{}
	case ctx.Err() != nil && time.Since(began) < c.cfg.Time/2:
		return nil, busy
	case ours:
		return nil, failure.Note
	}
	return nil, Note{kindUnknown, "the policy could not be fetched"}
}

// settle keeps what came of an asking, in the store and in memory.
func (c *Cache) settle(ctx context.Context, f *flight, was *kept, id string, policy *sts.Policy, note Note) error {
	now := records.Moment(time.Now())
	k := &known{domain: f.domain, note: note, tried: now}
	if policy != nil || was != nil {
		e := renewed(was, f.domain, now)
		if policy != nil {
			e.take(policy, id, now)
		}
		e.judge(note, now)
		stored, err := c.write(ctx, e, policy != nil)
		if err != nil {
			return err
		}
		k.policy = stored
	}
	k.rest, k.loaded, k.order = now.Add(rest(note)), time.Now(), c.memory.next()
	f.result, f.fetched = c.memory.put(k), policy != nil
	c.tell(f.domain, note, k.policy)
	return nil
}

// tell tells of a failure. Of a domain that took its policy back none is one (RFC 8461 §3.3).
func (c *Cache) tell(domain mail.Domain, note Note, policy *kept) {
	told := Unavailable{Domain: domain, Note: note}
	if policy.inForce(time.Now()) {
		told.Kept = policy.found(FromCache)
	}
	if note.Fault() && (told.Kept == nil || told.Kept.Policy.Mode != sts.None) {
		c.cfg.Tell(told)
	}
}

// rest is how long nothing is asked after an asking that found nothing.
func rest(note Note) time.Duration {
	if note.Kind == Busy {
		return brief
	}
	return pause
}

// renewed is what a policy that is kept becomes, or the first entry of a domain.
func renewed(was *kept, domain mail.Domain, now time.Time) entry {
	e := entry{Domain: domain.String(), Used: now}
	if was != nil {
		e = was.entry
	}
	e.Tried = now
	return e
}

// take puts a policy that was fetched in the place of what was kept. Its id is that of the record that was read before;
// where no record could be read the old one stays, so that the next look sees a change.
func (e *entry) take(p *sts.Policy, id string, now time.Time) {
	if id != "" {
		e.ID = id
	}
	e.Mode, e.MX, e.MaxAge, e.Oddities = p.Mode, nil, int64(p.MaxAge/time.Second), p.Oddities
	for _, pattern := range p.MX {
		e.MX = append(e.MX, strings.Clone(pattern)) // it may be part of the whole text
	}
	e.Fetched, e.Until = now, records.Moment(now.Add(max(p.MaxAge, pause)))
}

// judge notes whether the renewal failed, and when the next one is due: within a day, ahead of the end, spread over
// time.
func (e *entry) judge(note Note, now time.Time) {
	wait := min(day, e.Until.Sub(e.Fetched)/2)
	if note.Kind == "" {
		e.Fault, e.FaultText, e.Failing = "", "", time.Time{}
	} else {
		if e.Fault == "" {
			e.Failing = now
		}
		e.Fault, e.FaultText = note.Kind, note.Text
		wait = min(wait, time.Hour)
	}
	wait = max(pause, wait/2+rand.N(wait/2+1))
	e.Due = records.Moment(now.Add(wait))
	if e.Due.After(e.Until) {
		e.Due = e.Until
	}
}
