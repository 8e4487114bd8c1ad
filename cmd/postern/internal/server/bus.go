package server

import (
	"slices"
	"sync/atomic"

	"postern/internal/event"
)

// bus is where everything that happens is told, and who hears it. It is there before any room is: whatever is told
// while the others are made is heard by those who listen already. Safe for concurrent use but for subscribe and seal.
type bus struct {
	hears  atomic.Pointer[event.Tee]
	sealed bool
}

// newBus makes a bus that some listen to from the beginning.
func newBus(first ...event.Sink) *bus {
	b := &bus{}
	b.subscribe(first...)
	return b
}

// Emit tells everybody who listens.
func (b *bus) Emit(e event.Event) { b.hears.Load().Emit(e) }

// listeners are those who listen now, for a room that must not hear what it tells itself.
func (b *bus) listeners() event.Tee {
	if now := b.hears.Load(); now != nil {
		return slices.Clone(*now)
	}
	return nil
}

// subscribe lets more sinks hear what happens from now on.
func (b *bus) subscribe(sinks ...event.Sink) {
	if b.sealed {
		panic("server: a sink subscribes to a bus that is sealed")
	}
	now := append(b.listeners(), sinks...)
	b.hears.Store(&now)
}

// seal ends subscribing. Nothing that runs may find another bus than the one it began with.
func (b *bus) seal() { b.sealed = true }
