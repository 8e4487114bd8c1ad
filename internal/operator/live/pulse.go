package live

import (
	"context"
	"sync"
	"time"

	"postern/internal/event"
	"postern/internal/operator/access"
)

// Pulse is an event.Sink that tells whoever waits that something happened to mail or rules, so that pages can follow.
// It says that, and not what. Emit never waits. The zero Pulse is ready; safe for concurrent use.
type Pulse struct {
	mu    sync.Mutex
	beats uint64
	next  chan struct{} // closed at the next beat; nil: nobody waits
}

// Emit beats where pages may look otherwise now.
func (p *Pulse) Emit(e event.Event) {
	switch e.(type) {
	case event.Accepted, event.Attempted, event.Settled, event.Raised, event.NoticeQueued, event.RulesApplied,
		event.AdminActed, event.PeerChanged:
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats++
	if p.next != nil {
		close(p.next)
		p.next = nil
	}
}

// After returns the number of beats so far, as soon as there are more than seen; ctx ends the waiting.
func (p *Pulse) After(ctx context.Context, seen uint64) (uint64, error) {
	for {
		p.mu.Lock()
		if p.beats > seen {
			defer p.mu.Unlock()
			return p.beats, nil
		}
		if p.next == nil {
			p.next = make(chan struct{})
		}
		next := p.next
		p.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
			return seen, ctx.Err()
		}
	}
}

// Beats is the number of beats so far.
func (p *Pulse) Beats() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beats
}

// watchPause is the least time between two words to one who watches.
const watchPause = time.Second

// Watch calls word at once, whenever something happened since, and with beat false every quiet interval, at most once a
// second, until ctx ends or word says no. It says that something happened and not what, so it needs nothing but a look
// at the status. beats counts what happened since the gateway started; for a scope of domains, which is not told how
// much happens to others, it counts the words.
func (d LiveDesk) Watch(ctx context.Context, quiet time.Duration, word func(beats uint64, beat bool) bool) error {
	if err := d.who.Need(access.ReadStatus); err != nil {
		return err
	}
	if d.s.cfg.Pulse == nil {
		return access.ErrNotFound
	}
	leave, err := d.s.seats.take(d.who.Name)
	if err != nil {
		return err
	}
	defer leave()
	seen, beat := d.s.cfg.Pulse.Beats(), true
	for words := uint64(0); ; words++ {
		told := seen
		if !d.who.Scope.All {
			told = words
		}
		if !word(told, beat) {
			return nil
		}
		select {
		case <-time.After(watchPause):
		case <-ctx.Done():
			return nil
		}
		breath, cancel := context.WithTimeout(ctx, quiet)
		next, err := d.s.cfg.Pulse.After(breath, seen)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		seen, beat = next, err == nil
	}
}
