package live

import (
	"context"
	"fmt"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/queue"
)

// Status is the gateway in a few figures.
type Status struct {
	Hostname      string           `json:"hostname"`
	Version       string           `json:"version"`
	StartedAt     *time.Time       `json:"started_at"`
	Ready         bool             `json:"ready"`
	Problem       string           `json:"problem,omitempty"`
	Queue         map[string]int64 `json:"queue"`
	BodyBytes     int64            `json:"body_bytes"`
	OldestAt      *time.Time       `json:"oldest_accepted_at"`
	Rules         int              `json:"rules"`
	RulesRevision int64            `json:"rules_revision"`
	RulesProblem  string           `json:"rules_problem,omitempty"`
	// Unprotected are the own clients that handed in without TLS, in the last week, what rules force onward.
	Unprotected []Unprotected `json:"handed_in_without_tls,omitempty"`
}

// unprotectedTime is how far back Status looks for own clients without TLS.
const unprotectedTime = 7 * 24 * time.Hour

// Unprotected is an own client that handed in mail without TLS which rules force onward.
type Unprotected struct {
	Client   string     `json:"client"`
	Since    *time.Time `json:"since"`
	Last     *time.Time `json:"last"`
	Messages int64      `json:"messages"`
	Message  string     `json:"message"` // the last one
	Rules    []string   `json:"rules"`
}

// status counts and looks.
func (s *Service) status(ctx context.Context) (Status, error) {
	out := Status{Hostname: s.cfg.Hostname, Version: s.cfg.Version, StartedAt: trace.Instant(s.cfg.StartedAt),
		Ready: true, Queue: map[string]int64{}}
	stats, err := s.cfg.Store.Stats(ctx)
	if err != nil {
		return out, fmt.Errorf("cannot count the queue: %w", err)
	}
	for st := queue.Queued; st <= queue.Cancelled; st++ {
		out.Queue[st.String()] = stats.States[st]
	}
	out.BodyBytes, out.OldestAt = stats.BodyBytes, trace.Instant(stats.Oldest)
	set, revision, err := s.cfg.Rules.Current()
	out.RulesRevision = revision
	if err != nil {
		out.RulesProblem, out.Ready = err.Error(), false
	} else {
		out.Rules = len(set.Rules())
	}
	if s.cfg.Unprotected != nil {
		out.Unprotected = s.cfg.Unprotected(time.Now().Add(-unprotectedTime))
	}
	if s.cfg.Problem != nil {
		if err := s.cfg.Problem(); err != nil {
			out.Problem, out.Ready = err.Error(), false
		}
	}
	return out, nil
}

// Status counts and looks. A scope of domains is told whether the gateway is ready, and how many rules it sees; not
// what waits for others, and not in which words something is wrong.
func (d LiveDesk) Status(ctx context.Context) (Status, error) {
	if err := d.who.Need(access.ReadStatus); err != nil {
		return Status{}, err
	}
	st, err := d.s.status(ctx)
	if err != nil || d.who.Scope.All {
		return st, err
	}
	st.Queue, st.BodyBytes, st.OldestAt, st.Unprotected = map[string]int64{}, 0, nil, nil
	st.Rules, st.RulesRevision, st.RulesProblem, st.Problem = 0, 0, "", ""
	if own, err := d.who.RuleNames(); err == nil {
		st.Rules = len(own)
	}
	if !st.Ready {
		st.Problem = "something is wrong; an administrator of the whole gateway sees what"
	}
	return st, nil
}
