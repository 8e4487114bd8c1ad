// Package waiting changes mail that waits. Retry, hold, release and cancel are one transaction; lowering it to what is
// demanded without any rule, and judging it anew, go in portions. What is being sent is left to its worker, with a wish
// that it learns of, and may be waited for.
//
// An action does what it can: of several names those that are known are acted on, and each of the others is told
// (ActResult.Unknown). That is so for cancelling too: mail leaves the queue while somebody types its name, and whoever
// cancels twenty messages wants nineteen gone when one was delivered meanwhile.
//
// Lowering weakens protection: each portion is leased, written into the audit trail and only then changed, so that no
// worker sends by half a change and the trail has every delivery before it goes.
package waiting

import (
	"context"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
	"postern/internal/queue"
)

// Dispatcher is what is asked of whoever delivers. Both calls return at once.
type Dispatcher interface {
	// Kick makes the sites due now, whatever their backoff.
	Kick(ctx context.Context, sites ...queue.SiteKey)
	// Changed says that something else is in force: waiting mail is judged again, and what fell short is tried again.
	Changed()
	// Wished says that something is wanted of mail that is claimed: workers let go of what they have not begun with.
	Wished()
	// Return ends the quarantine of deliveries with notices to their senders and says of how many; the others are left
	// alone.
	Return(ctx context.Context, ids []queue.DeliveryID) (int, error)
}

// Config is what a Service stands on. Store, Ledger, Rules and Sink must be set.
type Config struct {
	Store  queue.Store
	Ledger audit.Ledger
	// Rules is what is in force. A gateway whose views have no table does not deliver, and refuses lowering.
	Rules *inforce.Keeper
	// Dispatcher is told about changes; nil tells nobody, which suits a gateway that does not deliver.
	Dispatcher Dispatcher
	// Lifetime is how long ordinary mail may wait.
	Lifetime time.Duration
	// Sink hears of every change.
	Sink event.Sink
}

// Service is what the desks of all principals share. Safe for concurrent use.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// QueueDesk is the Service as somebody sees it who asks. Make one by For.
type QueueDesk struct {
	s   *Service
	who *scope.Asker
}

// For is the desk of somebody who asks.
func (s *Service) For(who *scope.Asker) QueueDesk { return QueueDesk{s, who} }

// Kick has the mail of sites tried now.
func (s *Service) Kick(ctx context.Context, sites []queue.SiteKey) {
	if s.cfg.Dispatcher != nil && len(sites) > 0 {
		s.cfg.Dispatcher.Kick(ctx, sites...)
	}
}

// LetGo gives all waiting mail that holds more than is in force exactly that, for rules that were applied by somebody.
func (s *Service) LetGo(ctx context.Context, by string) (ActResult, error) {
	return s.rejudge(ctx, &ActRequest{Kind: queue.Release, All: true}, by, "rules apply --let-waiting-go", true)
}
