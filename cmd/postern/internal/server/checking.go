package server

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"

	"postern/cmd/postern/internal/rooms"
	"postern/internal/check"
	"postern/internal/config"
)

// checkPatience is how long a check of the console or the API waits for one server.
const checkPatience = 30 * time.Second

// checking makes the checks of the console and the API with the gateway's own rooms, so that they meet what deliveries meet.
type checking struct{ now atomic.Pointer[check.Checker] }

// Watch examines a target under the configuration in force.
func (c *checking) Watch(ctx context.Context, t check.Target, more []check.Question, tell func(check.Progress)) *check.Report {
	return c.now.Load().Watch(ctx, t, more, tell)
}

// checks makes the checker of a configuration.
func (g *Gateway) checks(cfg *config.Config, client *tls.Certificate) (*check.Checker, error) {
	forced, err := rooms.DefaultForced()
	if err != nil {
		return nil, err
	}
	cc := check.Config{Route: rooms.Routing(cfg, g.resolver), Deliver: rooms.Delivering(cfg, g.dialer, g.roots, g.revoke, client), Forced: forced}
	cc.Route.Timeout = checkPatience
	cc.Deliver.Memory, cc.Deliver.Book = g.memory, g.store
	cc.Deliver.Budget, cc.Deliver.ConnectTimeout = checkPatience, min(cc.Deliver.ConnectTimeout, checkPatience)
	return check.New(cc)
}
