// Package live shows whether the gateway is ready, how much mail waits and why, and tells whoever watches when
// something happened. It counts and looks when it is asked.
package live

import (
	"time"

	"postern/internal/gateway/inforce"
	"postern/internal/operator/scope"
	"postern/internal/queue"
)

// Config is what a Service stands on. Store and Rules must be set.
type Config struct {
	Store queue.Store
	// Rules is what is in force.
	Rules *inforce.Keeper
	// Pulse tells who watches that something happened; it must hear the events. nil says nothing.
	Pulse *Pulse
	// Streams is how many may watch at a time, and StreamsOfOne how often one account; 0 means 32 and 8.
	Streams, StreamsOfOne int
	// Hostname, Version and StartedAt are shown by Status. Problem says what is wrong now, nil that all is well; it may
	// be nil.
	Hostname, Version string
	StartedAt         time.Time
	Problem           func() error
	// Unprotected lists, since a time, the own clients that handed in without TLS what rules force onward; nil lists
	// none.
	Unprotected func(since time.Time) []Unprotected
}

// Service is what the desks of all principals share. Safe for concurrent use.
type Service struct {
	cfg   Config
	seats *seats // of those who watch
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{cfg, newSeats(cfg.Streams, cfg.StreamsOfOne)}
}

// LiveDesk is the Service as somebody sees it who asks. Make one by For.
type LiveDesk struct {
	s   *Service
	who *scope.Asker
}

// For is the desk of somebody who asks.
func (s *Service) For(who *scope.Asker) LiveDesk { return LiveDesk{s, who} }
