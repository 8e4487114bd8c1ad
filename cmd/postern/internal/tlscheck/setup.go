package tlscheck

import (
	"context"
	"net"
	"net/netip"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/remote"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/check"
	"postern/internal/check/examiner"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/gateway/stscache"
	"postern/internal/history/peers"
	"postern/internal/operator/api"
	"postern/internal/operator/servers"
	"postern/internal/policy"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/revoke"
	"postern/internal/queue/memstore"
)

// checkSetup is the rooms a check needs, built as the gateway's own.
type checkSetup struct {
	cfg      *config.Config
	resolver *resolver.Resolver
	revoke   *revoke.Checker
	policies *askedPolicies
	gateway  *gateway
	checker  *examiner.Checker
	deciding []string // questions that decide the exit code
	// ownFaults are what is wrong with certificates of our own that this user can read.
	ownFaults []check.Suspicion
}

func (s *checkSetup) close() {
	s.policies.own.Close()
	s.revoke.Close()
}

// again begins another round, in which everybody is asked anew.
func (s *checkSetup) again() {
	s.resolver.Forget()
	s.gateway.begin()
	s.policies.again()
}

// policies are asked of the domains themselves, as for their first mail, and kept in memory.
func (c *CheckCmd) policies(cfg *config.Config, r *resolver.Resolver, trusted *roots.Store) *stscache.Cache {
	pc := rooms.Policies(cfg, r, &net.Dialer{}, trusted, memstore.New())
	pc.Timeout = min(pc.Timeout, c.Timeout/2)
	return stscache.New(pc)
}

func (c *CheckCmd) setUp(a *cli.App) (*checkSetup, error) {
	cfg, err := a.LoadOrDefault()
	if err != nil {
		return nil, err
	}
	s := &checkSetup{cfg: cfg}
	set, err := c.named(a)
	if err != nil {
		return nil, err
	}
	extra, deciding, err := c.questions(a, set)
	if err != nil {
		return nil, err
	}
	s.deciding = deciding
	if s.resolver, err = resolver.New(rooms.Resolving(cfg)); err != nil {
		return nil, err
	}
	trusted, err := rooms.OpenRoots(cfg, rooms.WarnOfRoots(a.Stderr))
	if err != nil {
		return nil, err
	}
	client, err := rooms.ClientCertificate(cfg)
	if err != nil {
		return nil, err
	}
	forced, err := rooms.DefaultForced()
	if err != nil {
		return nil, err
	}
	// Lists stay in memory: the gateway's own folder belongs to the gateway's user.
	if s.revoke, err = revoke.New(rooms.Revoking(cfg, s.resolver, "", nil)); err != nil {
		return nil, err
	}
	s.gateway = &gateway{client: api.Dial(c.socket(cfg))}
	s.policies = &askedPolicies{own: c.policies(cfg, s.resolver, trusted), gateway: s.gateway}
	cc := examiner.Config{Route: rooms.Routing(cfg, s.resolver),
		Deliver: rooms.Delivering(cfg, &net.Dialer{}, trusted, s.revoke, client),
		Forced:  forced, Extra: extra, Trials: c.Versions, Jobs: c.Jobs}
	cc.Route.Timeout, cc.Route.Policies = c.Timeout, s.policies
	cc.Excepted = (&exceptions{ctx: a.Ctx, file: set, gateway: s.gateway}).of
	cc.Deliver.Memory = &askedMemory{ctx: a.Ctx, gateway: s.gateway}
	cc.Deliver.Budget, cc.Deliver.ConnectTimeout = c.Timeout, min(cc.Deliver.ConnectTimeout, c.Timeout)
	if c.AsRule != "" && c.Rules == "" { // what the gateway's rule would say, it says by what the gateway remembers
		cc.Deliver.Book = remembered{a, &remote.Gateway{Socket: c.Socket}}
	}
	s.ownFaults = ownFaults(cfg, trusted)
	s.checker, err = examiner.New(cc)
	return s, err
}

// ownFaults looks at our own chains as partners would. What cannot be read is for `postern trust show` to complain of.
func ownFaults(cfg *config.Config, trusted *roots.Store) (out []check.Suspicion) {
	pools, err := trusted.Pools(policy.PublicTrust)
	if err != nil {
		return nil
	}
	for _, f := range rooms.OwnFiles(cfg) {
		own, _, err := f.Look(pools[policy.PublicTrust], time.Now(), 0)
		if err != nil {
			continue
		}
		if s, incomplete := check.IncompleteOwn(&own); incomplete {
			out = append(out, s)
		}
	}
	return out
}

// socket is where the gateway of the configuration is asked.
func (c *CheckCmd) socket(cfg *config.Config) string {
	if c.Socket != "" {
		return c.Socket
	}
	return cfg.Socket()
}

// askedMemory is what the running gateway remembers of the servers it sends to, so that a check beside it says what its
// deliveries say of one that lost its TLS. Where no gateway answers, or it may not be asked, nothing is remembered.
type askedMemory struct {
	ctx     context.Context // of the whole check: Missing is given none
	gateway *gateway
}

// Missing asks the gateway.
func (m *askedMemory) Missing(host string, addr netip.AddrPort) (out peers.Stand) {
	var said servers.Missing
	m.gateway.ask(m.ctx, func(ctx context.Context) (err error) {
		said, err = m.gateway.client.Missing(ctx, host, addr)
		return err
	})
	if said.OfferedAt != nil {
		out.Offered = *said.OfferedAt
	}
	if said.HoldUntil != nil {
		out.HoldUntil = *said.HoldUntil
	}
	return out
}

// remembered is the running gateway's book of names of mail hosts.
type remembered struct {
	a *cli.App
	*remote.Gateway
}

// Pins asks the gateway.
func (r remembered) Pins(ctx context.Context, domain string) (out []mxpins.Pin, err error) {
	client, err := r.Dial(r.a)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for p, err := range client.Pins(ctx, domain) {
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
