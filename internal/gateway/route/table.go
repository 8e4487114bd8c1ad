package route

import (
	"context"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy"
)

// Table answers where mail goes. It is immutable and safe for concurrent use.
type Table struct{ cfg Config }

// New checks cfg and builds a Table.
func New(cfg Config) (*Table, error) { return &Table{cfg: cfg}, nil }

// NextHop names where mail for d goes under r, without any I/O: "mx:clinic.test", "to:mx.partner.test:25,..." or
// "own:mail.internal:25,..."; deliveries with the same NextHop may share connections. Where r demands proof of the
// recipient domain's own name, the domain is part of it.
func (t *Table) NextHop(d mail.Domain, r policy.Requirement) string { return "mx:" + d.String() }

// Own returns what is configured for a domain we receive for.
func (t *Table) Own(d mail.Domain) (Own, bool) { return Own{}, false }

// Serves reports whether we receive for d.
func (t *Table) Serves(d mail.Domain) bool { return false }

// Leg returns the leg that mail for d travels.
func (t *Table) Leg(d mail.Domain) event.Leg { return event.OutWorld }

// Plan finds the hops for d. On success at least one hop has addresses.
func (t *Table) Plan(ctx context.Context, d mail.Domain) (*Plan, *Problem) {
	return nil, &Problem{Reason: policy.PolicyUnavailable, Text: "routing is not ready"}
}
