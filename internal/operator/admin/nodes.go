package admin

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/nodes"
	"postern/internal/operator/access"
	"postern/internal/operator/trace"
	"postern/internal/smtp"
)

// GatewayNode is one gateway of those that share the store. What it says of itself is as old as its last renewal.
type GatewayNode struct {
	Name    string      `json:"name"`
	Release string      `json:"release"`
	State   nodes.State `json:"state"` // joining, live, doubtful, gone
	// Self marks the gateway that answers.
	Self     bool       `json:"self"`
	JoinedAt *time.Time `json:"joined_at"`
	API      string     `json:"api,omitempty"`
	// RenewedMS is how long ago it renewed its lease, LeaseLeftMS how long that still runs, below 0 since when it has
	// ended; null for a gateway that stands alone, which needs none.
	RenewedMS   *int64 `json:"renewed_ms"`
	LeaseLeftMS *int64 `json:"lease_left_ms"`
	// StoreMS is how long the store took to answer, null where that is not known.
	StoreMS *int64 `json:"store_ms"`
	// RulesRevision and Judgement are what it judges mail by.
	RulesRevision int64 `json:"rules_revision"`
	Judgement     int64 `json:"judgement"`
	// Claimed is how many deliveries it has in hand.
	Claimed int `json:"claimed"`
}

// Nodes lists the gateways of the store, for who has everything in scope; one that stands alone lists itself.
func (d *Desk) Nodes(ctx context.Context) ([]GatewayNode, error) {
	if err := d.who.Wide(access.ReadStatus); err != nil {
		return nil, err
	}
	list, err := d.s.cfg.Nodes.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list the gateways of the store: %w", err)
	}
	out := make([]GatewayNode, len(list))
	for i := range list {
		out[i] = d.s.node(&list[i])
	}
	return out, nil
}

// node is a member as it is told. Names and addresses are another process's words.
func (s *Service) node(m *nodes.Member) GatewayNode {
	out := GatewayNode{Name: smtp.Printable(m.Name, 200), Release: smtp.Printable(m.Release, 100), State: m.State,
		Self: m.Self, JoinedAt: trace.Instant(m.Joined), API: smtp.Printable(m.API, 200),
		RulesRevision: m.InForce.Rules, Judgement: m.InForce.Number, Claimed: m.Held}
	if m.Alone {
		v := s.cfg.Rules.Now()
		out.Name = cmp.Or(out.Name, s.cfg.Hostname)
		out.RulesRevision, out.Judgement = v.Revision, v.Number
		return out
	}
	renewed, left := m.Age.Milliseconds(), m.Left.Milliseconds()
	out.RenewedMS, out.LeaseLeftMS = &renewed, &left
	if m.Latency > 0 {
		took := m.Latency.Milliseconds()
		out.StoreMS = &took
	}
	return out
}

// NotYet is a gateway at which a change does not hold yet.
type NotYet struct {
	Name          string      `json:"name"`
	State         nodes.State `json:"state"`
	RulesRevision int64       `json:"rules_revision"`
}

// everywhere waits until what is in force here is in force at every gateway of the store that is alive, and says in out
// where it is not.
func (s *Service) everywhere(ctx context.Context, out *ApplyResult) {
	v := s.cfg.Rules.Now()
	agreed, err := s.cfg.Nodes.Agree(ctx, nodes.Mark{Rules: v.Revision, Number: v.Number}, nil)
	var names []string
	for i := range agreed.Lacking {
		e := &agreed.Lacking[i]
		name := smtp.Printable(e.Name, 200)
		out.NotYet = append(out.NotYet, NotYet{Name: name, State: e.State, RulesRevision: e.InForce.Rules})
		names = append(names, name)
	}
	out.WaitedMS = agreed.Took.Milliseconds()
	const hint = "postern nodes; until then such a gateway judges by the rules from before, and it ends with its lease"
	switch {
	case err != nil:
		out.NotYetProblem = err.Error()
		s.cfg.Sink.Emit(event.Warned{What: "rules", Text: err.Error(), Hint: hint})
	case len(names) > 0:
		s.cfg.Sink.Emit(event.Warned{What: "rules",
			Text: fmt.Sprintf("revision %d is not in force yet at %s", v.Revision, strings.Join(names, ", ")),
			Hint: hint})
	}
}
