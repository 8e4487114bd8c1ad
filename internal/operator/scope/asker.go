package scope

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// Errors callers branch on; how requests are refused says access.
var (
	// ErrNotRecorded: the change was made, but the audit trail could not be written.
	ErrNotRecorded = errors.New("the change was made but could not be recorded in the audit trail")
	// ErrUnfinished: not everything could be looked at in the time there was, so that "there is none" cannot be said.
	ErrUnfinished = errors.New("not everything could be looked at in time; narrow the question, or ask again")
)

// Gateway is what those who ask are answered from. Store, Ledger, Rules and Sink must be set.
type Gateway struct {
	Store  queue.Store
	Ledger audit.Ledger
	Rules  *inforce.Keeper
	Sink   event.Sink
}

// Asker is somebody who asks, with what of the gateway is within their scope.
type Asker struct {
	access.Principal
	cfg *Gateway
}

// For is the principal as one who asks.
func (g *Gateway) For(p access.Principal) *Asker { return &Asker{p, g} }

// Need refuses who may not do c, and who did not prove a moment ago who he is where c is dangerous.
func (a *Asker) Need(c access.Capability) error {
	switch {
	case !a.May(c):
		return access.ErrForbidden
	case c.Dangerous() && !a.Fresh(time.Now()):
		return access.ErrStale
	}
	return nil
}

// Wide is Need, and refuses a scope of domains.
func (a *Asker) Wide(c access.Capability) error {
	if err := a.Need(c); err != nil {
		return err
	}
	if !a.Scope.All {
		return access.ErrForbidden
	}
	return nil
}

// Author is the name under which the audit trail tells of a change; ErrWho where there is none.
func (a *Asker) Author() (string, error) {
	by := smtp.Printable(strings.TrimSpace(a.Name), 200)
	if by == "" {
		return "", access.ErrWho
	}
	return by, nil
}

// Record writes the audit trail and tells the sink. What weakens protection is recorded before it is done, other
// changes after: then ErrNotRecorded says that only the entry is missing.
func (a *Asker) Record(ctx context.Context, e audit.Entry) error {
	a.cfg.Sink.Emit(event.AdminActed{By: e.By, Action: e.Action, Target: e.Target, Count: e.Count})
	if err := a.cfg.Ledger.Append(ctx, e); err != nil {
		a.cfg.Sink.Emit(event.Warned{What: "audit", Text: "an action of " + e.By + " could not be recorded: " +
			e.Action, Hint: "check the disk of the data directory"})
		return fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	return nil
}

// Sees reports whether a delivery is within the scope: its sender or its recipient is.
func (a *Asker) Sees(r *queue.Record) bool {
	return a.Scope.All || a.Scope.Covers(r.Recipient.Address.Domain) || a.Scope.Covers(r.Message.Envelope.From.Domain)
}

// CoversName reports whether the scope covers a domain by its name.
func (a *Asker) CoversName(name string) bool {
	domain, err := mail.ParseDomain(name)
	return err == nil && a.Scope.Covers(domain)
}
