package accounts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/operator/audit"
	"postern/internal/platform/flush"
)

// A burst of refused proofs is one entry of the audit trail: it ends when nothing was refused for burstQuiet, or after
// burstTime. So many are gathered at a time and so many names of each are told; what is more is told together.
const (
	burstQuiet = 10 * time.Second
	burstTime  = time.Minute
	burstsMost = 64
	namesMost  = 10
	writeEvery = 2 * time.Second
)

// nobody is who the audit trail names where nobody was proven or known.
const nobody = "somebody"

// refusals gathers proofs that were refused, so that guesses cost no disk and fill no audit trail. What is gathered is
// shown with the trail at once (Service.Refusals); a crash loses those of a minute at most. The zero value is ready.
// Safe for concurrent use.
type refusals struct {
	mu      sync.Mutex
	bursts  map[string]*burst
	writing []*burst // ended, and not in the trail yet
}

// burst is what one client was refused of one kind.
type burst struct {
	key              string // in refusals.bursts
	action, client   string
	begun, newest    time.Time
	examined, putOff int
	names            map[string]int // of those examined
	how              string         // by which way, "" for a password
}

// add counts one refusal. Who is "" where it was put off before anybody looked at it.
func (r *refusals) add(action, who, how string, c Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bursts == nil {
		r.bursts = map[string]*burst{}
	}
	now, from := time.Now(), strings.TrimPrefix(clientKey(c.Addr), "client ")
	key := action + " " + how + " " + from
	b := r.bursts[key]
	if b == nil && len(r.bursts) >= burstsMost {
		key, from = action, "many clients"
		b = r.bursts[key]
	}
	if b == nil {
		b = &burst{key: key, action: action, client: from, begun: now, how: how, names: map[string]int{}}
		r.bursts[key] = b
	}
	b.newest = now
	if who == "" {
		b.putOff++
		return
	}
	b.examined++
	if _, known := b.names[who]; !known && len(b.names) >= namesMost {
		who = "others"
	}
	b.names[who]++
}

// entry is the burst as the audit trail tells it.
func (b *burst) entry() audit.Entry {
	e := audit.Entry{At: b.begun, By: nobody, Action: b.action, Target: b.client, Count: b.examined + b.putOff}
	said := []string{}
	if b.how != "" {
		said = append(said, b.how)
	}
	if e.Count > 1 {
		said = append(said, fmt.Sprintf("%d examined, %d put off, until %s", b.examined, b.putOff,
			b.newest.UTC().Format(time.RFC3339)))
	}
	names := slices.Sorted(maps.Keys(b.names))
	if len(names) == 1 {
		e.By = names[0]
	} else {
		for _, name := range names {
			said = append(said, fmt.Sprintf("%s %d", name, b.names[name]))
		}
	}
	if !strings.HasSuffix(e.By, ")") {
		e.By += " (not proven)"
	}
	e.After = strings.Join(said, "; ")
	return e
}

// over moves the bursts that have ended to those being written, all of them where all is set, and returns these.
func (r *refusals) over(now time.Time, all bool) []*burst {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.bursts {
		if all || now.Sub(b.newest) >= burstQuiet || now.Sub(b.begun) >= burstTime {
			r.writing = append(r.writing, b)
			delete(r.bursts, b.key)
		}
	}
	slices.SortFunc(r.writing, func(a, b *burst) int { return a.begun.Compare(b.begun) })
	return slices.Clone(r.writing)
}

// done takes a burst out of those being written. Where it could not be written it is kept, as far as there is room.
func (r *refusals) done(b *burst, written bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = slices.DeleteFunc(r.writing, func(w *burst) bool { return w == b })
	if written {
		return
	}
	if now := r.bursts[b.key]; now != nil {
		now.begun = b.begun
		now.examined += b.examined
		now.putOff += b.putOff
	} else if len(r.bursts) <= burstsMost {
		r.bursts[b.key] = b
	}
}

// refuse is add for somebody who was examined: a name that was claimed and not proven.
func (s *Service) refuse(action, who, how string, c Client) { s.refusals.add(action, who, how, c) }

// putOff is add for a proof that was not examined.
func (s *Service) putOff(action, how string, c Client) { s.refusals.add(action, "", how, c) }

// Refused notes that a sign-in by another provider came to nothing before anybody was named.
func (s *Service) Refused(provider string, c Client) {
	s.refuse(signInRefused, nobody, provider, c)
}

// Refusals are the refused proofs that the audit trail does not have yet, newest first, as it will tell them. Whoever
// asks for them before the trail misses none; one that is written meanwhile is in both.
func (s *Service) Refusals() (out []audit.Entry) {
	s.refusals.mu.Lock()
	defer s.refusals.mu.Unlock()
	for _, b := range s.refusals.writing {
		out = append(out, b.entry())
	}
	for _, b := range s.refusals.bursts {
		out = append(out, b.entry())
	}
	slices.SortFunc(out, func(a, b audit.Entry) int { return b.At.Compare(a.At) })
	return out
}

// Run writes refused proofs into the audit trail until ctx ends, and what is left of them then.
func (s *Service) Run(ctx context.Context) {
	flush.Run(ctx, writeEvery, func(now context.Context) { s.writeRefusals(now, ctx.Err() != nil) },
		func(context.Context, time.Time) {})
}

// writeRefusals writes the bursts that have ended. What cannot be written is kept for the next time.
func (s *Service) writeRefusals(ctx context.Context, all bool) {
	for _, b := range s.refusals.over(time.Now(), all) {
		s.refusals.done(b, s.cfg.Ledger.Append(ctx, b.entry()) == nil)
	}
}
