package servers

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"postern/internal/attempt"
	"postern/internal/check"
	"postern/internal/history/peers"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/queue"
)

// PeerList is a part of what is remembered of servers. Complete is false where the newest mail of a scope was not
// looked at as far as it should be, so that servers it went to may be missing; it was looked at back to SearchedTo.
type PeerList struct {
	Items      []Peer
	Next       string
	Complete   bool
	SearchedTo *time.Time
}

const (
	// serversLook is of how many of its newest deliveries a scope is told the servers.
	serversLook = 2000
	// namedLook bounds those of one domain that is asked for.
	namedLook = 200
)

// PeerRequest asks for what is remembered of servers: names choose hosts, everything below a "*.domain", or addresses,
// and none of them chooses all; at most Limit (0 is no limit) after the cursor.
type PeerRequest struct {
	Names []string
	After string
	Limit int
	// Patience bounds how long the mail of a scope is looked at.
	Patience time.Duration
}

// Peers lists what is remembered of servers. A scope of domains is told of those that its own mail was tried at,
// without what adds up the mail of all.
func (d ServerDesk) Peers(ctx context.Context, q PeerRequest) (PeerList, error) {
	out := PeerList{Items: []Peer{}, Complete: true}
	if err := d.who.Need(access.ReadPeers); err != nil {
		return out, err
	}
	skip, err := scope.ParseNumber(q.After)
	if err != nil {
		return out, err
	}
	match, err := d.s.peerMatch(q.Names)
	if err != nil {
		return out, err
	}
	own, err := d.servers(ctx, q.Names, serversLook, q.Patience)
	if err != nil {
		return out, err
	}
	out.Complete, out.SearchedTo = own.complete, own.searchedTo
	seen := int64(0)
	for _, r := range d.s.cfg.Peers.List() {
		if len(q.Names) > 0 && !match(&r) || !own.has(&r) {
			continue
		}
		if q.Limit > 0 && len(out.Items) == q.Limit {
			out.Next = strconv.FormatInt(seen, 10)
			break
		}
		if seen++; seen > skip {
			out.Items = append(out.Items, peerOf(&r))
		}
	}
	d.withoutCounts(out.Items)
	return out, nil
}

// Expiring lists the servers whose certificate ends between two times, at most limit, the one that answered last first.
func (d ServerDesk) Expiring(ctx context.Context, from, until time.Time, limit int) ([]Peer, error) {
	if err := d.who.Need(access.ReadPeers); err != nil {
		return nil, err
	}
	own, err := d.servers(ctx, nil, namedLook, scope.SearchTime)
	if err != nil {
		return nil, err
	}
	out, err := d.s.peers(limit, func(r *peers.Record) bool {
		return r.Certificate != nil && r.Certificate.NotAfter.After(from) && r.Certificate.NotAfter.Before(until) &&
			own.has(r)
	})
	d.withoutCounts(out)
	return out, err
}

// withoutCounts leaves out, for a scope of domains, what adds up everybody's mail to a server.
func (d ServerDesk) withoutCounts(list []Peer) {
	if d.who.Scope.All {
		return
	}
	for i := range list {
		p := &list[i]
		p.TLSCount, p.TLSDays, p.Streak, p.StreakSince, p.UnderRuleAt, p.FirstSeenAt, p.FirstTLSAt = 0, 0, 0, nil, nil,
			nil, nil
	}
}

// Missing tells what is remembered of an address of a host that has no TLS now; of a server that a scope's mail was not
// tried at, that there is nothing.
func (d ServerDesk) Missing(ctx context.Context, host, addr string) (Missing, error) {
	if err := d.who.Need(access.ReadPeers); err != nil {
		return Missing{}, err
	}
	out, err := d.s.missing(host, addr)
	if err != nil || d.who.Scope.All {
		return out, err
	}
	own, err := d.servers(ctx, nil, serversLook, scope.SearchTime)
	switch {
	case err != nil:
		return Missing{}, err
	case own.names[host] || host == "" && own.bare(addr):
		return out, nil
	case !own.complete:
		return Missing{}, scope.ErrUnfinished
	}
	return Missing{}, nil
}

// servers are those that the mail of a scope was tried at.
type servers struct {
	all        bool
	names      map[string]bool // host names
	addresses  map[string]bool // of servers without one
	complete   bool
	searchedTo *time.Time
}

func (s *servers) has(r *peers.Record) bool {
	return s.all || s.names[r.Host] || r.Host == "" && s.addresses[r.IP.String()]
}

// bare reports whether an address with a port is one of a server without a name.
func (s *servers) bare(addr string) bool {
	at, err := netip.ParseAddrPort(addr)
	return err == nil && s.addresses[at.Addr().Unmap().String()]
}

func (s *servers) note(a *attempt.Attempt) {
	for i := range a.Tries {
		if t := &a.Tries[i]; t.Host != "" {
			s.names[t.Host] = true
		} else if t.IP.IsValid() {
			s.addresses[t.IP.String()] = true
		}
	}
}

// servers gathers where deliveries within the scope were tried, as they are told: those to the domains among names, and
// the newest of all.
func (d ServerDesk) servers(ctx context.Context, names []string, most int, patience time.Duration) (*servers, error) {
	out := &servers{all: d.who.Scope.All, names: map[string]bool{}, addresses: map[string]bool{}, complete: true}
	if out.all {
		return out, nil
	}
	gather := func(f queue.Filter, most int) (*queue.Unfinished, error) {
		found := 0
		stop, err := d.who.SearchFor(ctx, f, most, patience, func(r *queue.Record) bool {
			found++
			told := d.who.Told(r)
			for i := range told.History {
				out.note(&told.History[i])
			}
			if last := told.SiteState.Last; last != nil && r.State.Waiting() {
				out.note(last)
			}
			return true
		})
		if found == most {
			stop = nil
		}
		return stop, err
	}
	for _, name := range names[:min(len(names), 20)] {
		if domain, err := mail.ParseDomain(name); err == nil {
			if _, err := gather(queue.Filter{Domain: domain.String()}, namedLook); err != nil {
				return out, err
			}
		}
	}
	stop, err := gather(queue.Filter{}, most)
	if out.complete = stop == nil; stop != nil {
		out.searchedTo = trace.Instant(stop.AcceptedAt)
	}
	return out, err
}

// mayCheck refuses targets that are none of a scope's: neither its domains, nor domains its mail goes to, nor servers
// that its mail was tried at. What is not there and what is others' are refused alike.
func (d ServerDesk) mayCheck(ctx context.Context, target check.Target) error {
	if d.who.Scope.All || !target.Domain.IsZero() && d.who.Scope.Covers(target.Domain) {
		return nil
	}
	if target.Domain.IsZero() || d.who.Elsewhere(target.Domain) {
		return access.ErrForbidden
	}
	found := false
	stop, err := d.who.SearchFor(ctx, queue.Filter{Domain: target.Domain.String()}, 1, scope.SearchTime,
		func(*queue.Record) bool {
			found = true
			return true
		})
	if err != nil || found {
		return err
	}
	own, err := d.servers(ctx, nil, serversLook, scope.SearchTime)
	switch {
	case err != nil:
		return err
	case own.names[target.Domain.String()]:
		return nil
	case stop != nil || !own.complete:
		return scope.ErrUnfinished
	}
	return access.ErrForbidden
}
