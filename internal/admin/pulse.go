package admin

import (
	"context"
	"sync"

	"postern/internal/event"
)

// Pulse is an event.Sink that tells whoever waits that something happened to mail or rules, so that pages can follow. It
// says that, and not what. Emit never waits. The zero Pulse is ready; safe for concurrent use.
type Pulse struct {
	mu    sync.Mutex
	beats uint64
	next  chan struct{} // closed at the next beat; nil: nobody waits
}

// Emit beats where pages may look otherwise now.
func (p *Pulse) Emit(e event.Event) {
	switch e.(type) {
	case event.Accepted, event.Attempted, event.Settled, event.Raised, event.NoticeQueued, event.RulesApplied, event.AdminActed, event.PeerChanged:
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
