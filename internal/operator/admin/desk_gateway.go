package admin

import (
	"context"
	"strconv"

	"postern/internal/operator/access"
	"postern/internal/operator/audit"
)

// Status counts and looks. A scope of domains is told whether the gateway is ready, and how many rules it sees; not
// what waits for others, and not in which words something is wrong.
func (d *Desk) Status(ctx context.Context) (Status, error) {
	if err := d.need(access.ReadStatus); err != nil {
		return Status{}, err
	}
	st, err := d.s.status(ctx)
	if err != nil || d.p.Scope.All {
		return st, err
	}
	st.Queue, st.BodyBytes, st.OldestAt, st.Unprotected = map[string]int64{}, 0, nil, nil
	st.Rules, st.RulesRevision, st.RulesProblem, st.Problem = 0, 0, "", ""
	if own, err := d.ruleNames(); err == nil {
		st.Rules = len(own)
	}
	if !st.Ready {
		st.Problem = "something is wrong; an administrator of the whole gateway sees what"
	}
	return st, nil
}

// Audit lists the audit trail, newest first. A scope of domains sees what the principal did himself.
func (d *Desk) Audit(ctx context.Context, p PageRequest) (Page[audit.Entry], error) {
	if err := d.need(access.ReadAudit); err != nil {
		return Page[audit.Entry]{}, err
	}
	below, err := parseNumber(p.After)
	if err != nil {
		return Page[audit.Entry]{}, err
	}
	out := Page[audit.Entry]{Items: []audit.Entry{}, Complete: true}
	if d.s.cfg.Refusals != nil && p.After == "" && d.p.Scope.All {
		out.Items = append(out.Items, d.s.cfg.Refusals()...) // beyond the limit, which they do not move
	}
	unwritten := len(out.Items)
	for len(out.Items)-unwritten < p.limit() {
		list, err := d.s.cfg.Ledger.Entries(ctx, below, p.limit())
		if err != nil {
			return out, err
		}
		for _, e := range list {
			below = e.ID
			if !d.p.Scope.All && e.By != d.p.Name {
				continue
			}
			e.At = e.At.UTC()
			if out.Items = append(out.Items, e); len(out.Items)-unwritten == p.limit() {
				break
			}
		}
		if len(list) < p.limit() || below <= 1 {
			break
		}
	}
	if len(out.Items)-unwritten == p.limit() && below > 1 {
		out.Next = strconv.FormatInt(below, 10)
	}
	return out, nil
}
