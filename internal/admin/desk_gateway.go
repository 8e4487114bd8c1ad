package admin

import (
	"context"
	"strconv"
	"time"

	"postern/internal/access"
	"postern/internal/ledger"
	"postern/internal/mxtrust"
	"postern/internal/peers"
)

// Status counts and looks. A scope of domains is told how the gateway is, not how much waits for others.
func (d *Desk) Status(ctx context.Context) (Status, error) {
	if err := d.need(access.ReadStatus); err != nil {
		return Status{}, err
	}
	st, err := d.s.Status(ctx)
	if !d.p.Scope.All {
		st.Queue, st.BodyBytes, st.OldestAt, st.Unprotected = map[string]int64{}, 0, nil, nil
	}
	return st, err
}

// Audit lists the audit trail, newest first. A scope of domains sees what the principal did himself.
func (d *Desk) Audit(ctx context.Context, p PageRequest) (Page[ledger.Entry], error) {
	if err := d.need(access.ReadAudit); err != nil {
		return Page[ledger.Entry]{}, err
	}
	below, err := parseNumber(p.After)
	if err != nil {
		return Page[ledger.Entry]{}, err
	}
	out := Page[ledger.Entry]{Items: []ledger.Entry{}, Complete: true}
	for len(out.Items) < p.limit() {
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
			if out.Items = append(out.Items, e); len(out.Items) == p.limit() {
				break
			}
		}
		if len(list) < p.limit() || below <= 1 {
			break
		}
	}
	if len(out.Items) == p.limit() && below > 1 {
		out.Next = strconv.FormatInt(below, 10)
	}
	return out, nil
}

// Peers lists what is remembered of servers; names choose as for Service.Peers.
func (d *Desk) Peers(_ context.Context, names []string, limit int) ([]Peer, error) {
	if err := d.need(access.ReadPeers); err != nil {
		return nil, err
	}
	return d.s.Peers(names, limit)
}

// Expiring lists the servers whose certificate ends between two times, at most limit, the one that answered last first.
func (d *Desk) Expiring(_ context.Context, from, until time.Time, limit int) ([]Peer, error) {
	if err := d.need(access.ReadPeers); err != nil {
		return nil, err
	}
	return d.s.peers(limit, func(r *peers.Record) bool {
		return r.Certificate != nil && r.Certificate.NotAfter.After(from) && r.Certificate.NotAfter.Before(until)
	})
}

// Pins lists which names of mail hosts are known; "" lists those of every domain.
func (d *Desk) Pins(ctx context.Context, domain string) ([]mxtrust.Pin, error) {
	if err := d.need(access.ReadPeers); err != nil {
		return nil, err
	}
	if !d.p.Scope.All {
		return nil, ErrForbidden // they tell of the rules of others
	}
	return d.s.Pins(ctx, domain)
}

// Candidates lists what could be approved for a domain; see Service.Candidates.
func (d *Desk) Candidates(ctx context.Context, domain string, ask bool) (Candidates, error) {
	if err := d.need(access.ReadPeers); err != nil {
		return Candidates{}, err
	}
	if !d.p.Scope.All {
		return Candidates{}, ErrForbidden
	}
	return d.s.Candidates(ctx, domain, ask)
}

// Approve makes mail hosts of a domain known to its rules. ApproveRequest.By is ignored.
func (d *Desk) Approve(ctx context.Context, r ApproveRequest) (ApproveResult, error) {
	if err := d.need(access.ApproveMX); err != nil {
		return ApproveResult{}, err
	}
	if !d.p.Scope.All {
		return ApproveResult{}, ErrForbidden
	}
	r.By = d.p.Name
	return d.s.Approve(ctx, r)
}

// Missing tells what is remembered of an address of a host that has no TLS now.
func (d *Desk) Missing(_ context.Context, host, addr string) (Missing, error) {
	if err := d.need(access.ReadPeers); err != nil {
		return Missing{}, err
	}
	return d.s.Missing(host, addr)
}

// ForgetPeers forgets what is remembered of servers. ForgetRequest.By is ignored.
func (d *Desk) ForgetPeers(ctx context.Context, r ForgetRequest) (ForgetResult, error) {
	if err := d.need(access.ForgetPeers); err != nil {
		return ForgetResult{}, err
	}
	r.By = d.p.Name
	return d.s.ForgetPeers(ctx, r)
}

// Unpin forgets which mail hosts of a domain are known to its rules. UnpinRequest.By is ignored.
func (d *Desk) Unpin(ctx context.Context, r UnpinRequest) (UnpinResult, error) {
	if err := d.need(access.ForgetPeers); err != nil {
		return UnpinResult{}, err
	}
	r.By = d.p.Name
	return d.s.Unpin(ctx, r)
}
