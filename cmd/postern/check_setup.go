package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"postern/internal/check"
	"postern/internal/config"
	"postern/internal/dns/resolver"
	"postern/internal/history/peers"
	"postern/internal/operator/api"
	"postern/internal/policy"
	"postern/internal/policy/certcheck/roots"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/revoke"
	"postern/internal/policy/rules"
)

// checkSetup is the rooms a check needs, built as the gateway's own.
type checkSetup struct {
	cfg      *config.Config
	resolver *resolver.Resolver
	revoke   *revoke.Checker
	checker  *check.Checker
	deciding []string // questions that decide the exit code
	// ownFaults are what is wrong with certificates of our own that this user can read.
	ownFaults []check.Suspicion
}

func (s *checkSetup) close() { s.revoke.Close() }

func (c *checkCmd) setUp(a *app) (*checkSetup, error) {
	cfg, err := a.loadOrDefault()
	if err != nil {
		return nil, err
	}
	s := &checkSetup{cfg: cfg}
	extra, deciding, err := c.questions(a)
	if err != nil {
		return nil, err
	}
	s.deciding = deciding
	if s.resolver, err = resolver.New(resolver.Config{Servers: serverNames(cfg)}); err != nil {
		return nil, err
	}
	trusted, err := openRoots(cfg, warnOfRoots(a.stderr))
	if err != nil {
		return nil, err
	}
	client, err := clientCertificate(cfg)
	if err != nil {
		return nil, err
	}
	forced, err := defaultForced()
	if err != nil {
		return nil, err
	}
	// Lists stay in memory: the gateway's own folder belongs to the gateway's user.
	if s.revoke, err = revoke.New(revoking(cfg, s.resolver, "", nil)); err != nil {
		return nil, err
	}
	cc := check.Config{Route: routing(cfg, s.resolver), Deliver: delivering(cfg, &net.Dialer{}, trusted, s.revoke, client),
		Forced: forced, Extra: extra, Trials: c.Versions, Jobs: c.Jobs}
	cc.Route.Timeout = c.Timeout
	cc.Deliver.Memory = &askedMemory{ctx: a.ctx, client: api.Dial(c.socket(cfg))}
	cc.Deliver.Budget, cc.Deliver.ConnectTimeout = c.Timeout, min(cc.Deliver.ConnectTimeout, c.Timeout)
	if c.AsRule != "" && c.Rules == "" { // what the gateway's rule would say, it says by what the gateway remembers
		cc.Deliver.Book = remembered{a, &remote{Socket: c.Socket}}
	}
	s.ownFaults = ownFaults(cfg, trusted)
	s.checker, err = check.New(cc)
	return s, err
}

// ownFaults looks at our own chains as partners would. What cannot be read is for `postern trust show` to complain of.
func ownFaults(cfg *config.Config, trusted *roots.Store) (out []check.Suspicion) {
	pools, err := trusted.Pools(policy.PublicTrust)
	if err != nil {
		return nil
	}
	for _, f := range ownFiles(cfg) {
		chain, err := readChain(f.file)
		if err != nil {
			continue
		}
		own := check.LookAtOwn(f.kind, chain, f.host, pools[policy.PublicTrust], time.Now(), 0)
		own.File = f.file
		if s, incomplete := check.IncompleteOwn(&own); incomplete {
			out = append(out, s)
		}
	}
	return out
}

// socket is where the gateway of the configuration is asked.
func (c *checkCmd) socket(cfg *config.Config) string {
	if c.Socket != "" {
		return c.Socket
	}
	return cfg.Socket()
}

// askedMemory is what the running gateway remembers of the servers it sends to, so that a check beside it says what its
// deliveries say of one that lost its TLS. Where no gateway answers, or it may not be asked, nothing is remembered; it is
// asked once then.
type askedMemory struct {
	ctx    context.Context // of the whole check: Missing is given none
	client *api.Client
	off    atomic.Bool
}

// askTime bounds one question about a peer.
const askTime = 2 * time.Second

// Missing asks the gateway.
func (m *askedMemory) Missing(host string, addr netip.AddrPort) (out peers.Stand) {
	if m.off.Load() {
		return out
	}
	ctx, cancel := context.WithTimeout(m.ctx, askTime)
	defer cancel()
	said, err := m.client.Missing(ctx, host, addr)
	if err != nil {
		m.off.Store(true)
		return out
	}
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
	a *app
	*remote
}

// Pins asks the gateway.
func (r remembered) Pins(ctx context.Context, domain string) (out []mxpins.Pin, err error) {
	client, err := r.client(r.a)
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

// loadOrDefault reads the configuration; where nobody named one and none lies in the usual places, the defaults serve:
// the system's resolver and roots, and the machine's own name.
func (a *app) loadOrDefault() (*config.Config, error) {
	if _, err := config.Find(a.configFile, a.getenv("POSTERN_CONFIG")); err == nil {
		return a.load()
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "localhost"
	}
	c, err := config.Parse("defaults", ".", machine, nil)
	if _, unnamed := errors.AsType[*config.Problems](err); unnamed {
		return config.Parse("defaults", ".", "localhost", nil)
	}
	return c, err
}

// openRoots opens the roots of a configuration; notice is told of files that cannot be read, and of certificates left out.
func openRoots(cfg *config.Config, notice func(roots.Notice)) (*roots.Store, error) {
	s, err := roots.New(roots.Config{Public: string(cfg.Trust.Roots), Dir: configDir(cfg), Notice: notice})
	if err != nil {
		return nil, fmt.Errorf("the public roots cannot be read: %w", err)
	}
	return s, nil
}

// warnOfRoots writes what is noticed of roots as warnings for people.
func warnOfRoots(w io.Writer) func(roots.Notice) {
	return func(n roots.Notice) {
		if n.Err != nil {
			fmt.Fprintf(w, "warning: trust %s: %v\n", n.Trust, n.Err)
		}
		for _, l := range n.Left {
			fmt.Fprintf(w, "warning: trust %s: %s: %s; it is not trusted\n", n.Trust, n.File, l)
		}
	}
}

// defaultForced is what a rule demands that says nothing but "force-tls".
func defaultForced() (policy.Requirement, error) {
	set, err := rules.Parse("defaults", []byte("[[rule]]\nname = \"default\"\nscope = \"outbound\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"*\"]\n"))
	if err != nil {
		return policy.Requirement{}, err
	}
	return set.Rules()[0].Requirement(), nil
}
