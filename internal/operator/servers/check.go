package servers

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern/internal/check"
	"postern/internal/operator/access"
)

// Checker examines servers as deliveries meet them; examiner.Checker is one.
type Checker interface {
	// Watch examines a target and tells what it finds as it finds it.
	Watch(ctx context.Context, t check.Target, more []check.Question, tell func(check.Progress)) *check.Report
}

// ErrBusy: as many checks are running as may run at once.
var ErrBusy = errors.New("as many checks as may run at once are running; try again in a moment")

const (
	// ChecksAtOnce bounds the checks that run at a time for everybody who looks.
	ChecksAtOnce = 4
	// CheckTime bounds one check.
	CheckTime = 2 * time.Minute
)

// CheckRequest asks what would become of mail to a target.
type CheckRequest struct {
	// Target is a domain, an address, or a host with or without a port. Who is limited to domains may name these, the
	// domains that their mail goes to and the servers it was tried at, and no port or address: a named host is reached
	// even where mail would not be sent.
	Target string
	// Rule is a rule in force whose demands are asked for besides; "" for none.
	Rule string
}

// Check examines a target; tell hears what is found as it is found, one call at a time. It may be nil.
func (d ServerDesk) Check(ctx context.Context, r CheckRequest, tell func(check.Progress)) (*check.Report, error) {
	if err := d.who.Need(access.RunChecks); err != nil {
		return nil, err
	}
	if d.s.cfg.Checker == nil {
		return nil, access.BadRequest("this gateway makes no checks")
	}
	target, err := check.Parse(r.Target)
	if err != nil {
		return nil, access.BadRequest("%w", err)
	}
	if err := d.mayCheck(ctx, target); err != nil {
		return nil, err
	}
	more, err := d.asked(ctx, r.Rule)
	if err != nil {
		return nil, err
	}
	select {
	case d.s.cfg.Checks <- struct{}{}:
		defer func() { <-d.s.cfg.Checks }()
	default:
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, CheckTime)
	defer cancel()
	return d.s.cfg.Checker.Watch(ctx, target, more, tell), nil
}

// asked is what a rule in force demands, as a question.
func (d ServerDesk) asked(ctx context.Context, rule string) ([]check.Question, error) {
	if rule == "" {
		return nil, nil
	}
	list, err := d.who.RuleList(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if strings.EqualFold(r.Name, rule) {
			return []check.Question{{Name: "rule " + r.Name, Requirement: r.Requirement()}}, nil
		}
	}
	return nil, access.BadRequest("there is no rule %q", rule)
}
