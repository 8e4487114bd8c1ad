package admin

import (
	"context"
	"strconv"

	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
)

// Audit lists the audit trail, newest first. A scope of domains sees what the principal did himself.
func (d *Desk) Audit(ctx context.Context, p scope.PageRequest) (scope.Page[audit.Entry], error) {
	if err := d.who.Need(access.ReadAudit); err != nil {
		return scope.Page[audit.Entry]{}, err
	}
	below, err := scope.ParseNumber(p.After)
	if err != nil {
		return scope.Page[audit.Entry]{}, err
	}
	out := scope.Page[audit.Entry]{Items: []audit.Entry{}, Complete: true}
	if d.s.cfg.Refusals != nil && p.After == "" && d.who.Scope.All {
		out.Items = append(out.Items, d.s.cfg.Refusals()...) // beyond the limit, which they do not move
	}
	unwritten := len(out.Items)
	for len(out.Items)-unwritten < p.Most() {
		list, err := d.s.cfg.Ledger.Entries(ctx, below, p.Most())
		if err != nil {
			return out, err
		}
		for _, e := range list {
			below = e.ID
			if !d.who.Scope.All && e.By != d.who.Name {
				continue
			}
			e.At = e.At.UTC()
			if out.Items = append(out.Items, e); len(out.Items)-unwritten == p.Most() {
				break
			}
		}
		if len(list) < p.Most() || below <= 1 {
			break
		}
	}
	if len(out.Items)-unwritten == p.Most() && below > 1 {
		out.Next = strconv.FormatInt(below, 10)
	}
	return out, nil
}
