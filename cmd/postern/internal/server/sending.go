package server

import (
	"crypto/tls"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"postern/cmd/postern/internal/rooms"
	"postern/internal/check/examiner"
	"postern/internal/config"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/queue"
)

// routes makes the routing table of a configuration.
func (g *Gateway) routes(cfg *config.Config) (*route.Table, error) { return route.New(g.routing(cfg)) }

func (g *Gateway) routing(cfg *config.Config) route.Config {
	rc := rooms.Routing(cfg, g.resolver)
	rc.Policies = g.policies
	return rc
}

// delivers makes what opens connections to other servers.
func (g *Gateway) delivers() *deliver.Deliverer {
	opener := rooms.Delivering(g.cfg, g.dialer, g.roots, g.revoke, nil)
	opener.Certificate = g.clientCertificate
	opener.Memory, opener.Book, opener.Remember = g.memory, g.pins, g.pins.Remember
	return deliver.New(opener)
}

// dispatching says how the queue is emptied.
func (g *Gateway) dispatching() dispatch.Config {
	cfg := g.cfg
	out := dispatch.Config{
		Store: g.store, Opener: g.deliverer, InForce: g.rules.Now, Others: g.besideSending(),
		Overlooked: g.store.Overlooked, Room: g.store.Room, Sink: g.sink, Book: g.pins,
		Hostname: cfg.Hostname, Postmaster: cfg.Postmaster,
		Schedule:          rooms.Pacing(&cfg.Delivery),
		Lifetime:          cfg.Delivery.Lifetime.Duration,
		UnsignedNo:        rooms.NeverIfZero(cfg.Delivery.UnsignedNo.Duration),
		Retention:         cfg.Queue.Retention.Duration,
		NoticesPerAddress: cfg.Queue.NoticesPerAddress, NoticesToStrangers: cfg.Queue.NoticesToStrangers,
		Ours:        func(in *queue.Inbound) bool { return g.intake.Load().Ours(in) },
		DelayNotice: rooms.NeverIfZero(cfg.Delivery.DelayNotice.Duration),
		Linger:      rooms.NeverIfZero(cfg.Delivery.IdleTime.Duration),
		Grace:       cfg.Limits.DrainTime.Duration,
		Random:      rand.Uint32, Seed: rand.Uint64(), Worker: cfg.Hostname.String() + "/" + strconv.Itoa(os.Getpid()),
	}
	if g.nodes.Shared() { // what it claimed goes on elsewhere as soon as it is given up itself
		out.Lease, out.Worker = cfg.Cluster.Lease.Duration, cfg.Cluster.Node
	}
	return out
}

// checks makes the checker of a configuration.
func (g *Gateway) checks(cfg *config.Config, client *tls.Certificate) (*examiner.Checker, error) {
	forced, err := rooms.DefaultForced()
	if err != nil {
		return nil, err
	}
	cc := examiner.Config{Route: g.routing(cfg), Deliver: rooms.Delivering(cfg, g.dialer, g.roots, g.revoke, client),
		Forced: forced}
	cc.Excepted = func(d mail.Domain) map[string]string { return g.rules.Now().Rules.Excepted(d, time.Now()) }
	if client == nil {
		cc.Deliver.Certificate = g.clientCertificate
	}
	cc.Route.Timeout = checkPatience
	cc.Deliver.Memory, cc.Deliver.Book = g.memory, g.pins
	cc.Deliver.Budget, cc.Deliver.ConnectTimeout = checkPatience, min(cc.Deliver.ConnectTimeout, checkPatience)
	return examiner.New(cc)
}
