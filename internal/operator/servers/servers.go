// Package servers shows what is known of servers. That is what is remembered of their TLS, and a check of how one is
// now. What is forgotten is no longer missed, so the audit entry is on stable storage first.
package servers

import (
	"postern/internal/operator/scope"
	"postern/internal/queue"
)

// Config is what a Service stands on. Store and Checks must be set.
type Config struct {
	Store queue.Store
	// Peers remembers the servers we send to; nil remembers none.
	Peers Peers
	// Checker examines servers; nil refuses checks. Checks takes one of each check that runs.
	Checker Checker
	Checks  chan struct{}
}

// Service is what the desks of all principals share. Safe for concurrent use.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// ServerDesk is the Service as somebody sees it who asks. Make one by For.
type ServerDesk struct {
	s   *Service
	who *scope.Asker
}

// For is the desk of somebody who asks.
func (s *Service) For(who *scope.Asker) ServerDesk { return ServerDesk{s, who} }
