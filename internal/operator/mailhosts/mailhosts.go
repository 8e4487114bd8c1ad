// Package mailhosts approves and forgets names of mail hosts. Rules trust these for a domain; an approval is of what
// DNS names now. Both let mail go where it did not before, so their audit entry is on stable storage first.
package mailhosts

import (
	"context"

	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/operator/scope"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

// Config is what a Service stands on. Store, Rules and Kick must be set.
type Config struct {
	Store queue.Store
	// Rules is what is in force.
	Rules *inforce.Keeper
	// Kick has the mail of sites tried now.
	Kick func(ctx context.Context, sites []queue.SiteKey)
	// Pins keeps which names of mail hosts are known; nil keeps none. MailHosts finds those of a domain, asking DNS
	// afresh; nil refuses approvals.
	Pins      *mxpins.Book
	MailHosts func(context.Context, mail.Domain) (MailHosts, error)
}

// Service is what the desks of all principals share. Safe for concurrent use.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// HostDesk is the Service as somebody sees it who asks. Make one by For.
type HostDesk struct {
	s   *Service
	who *scope.Asker
}

// For is the desk of somebody who asks.
func (s *Service) For(who *scope.Asker) HostDesk { return HostDesk{s, who} }
