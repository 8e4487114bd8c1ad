package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/event"
	"postern/internal/operator/api"
	"postern/internal/operator/oidc"
	"postern/internal/operator/web"
)

// serveConsole opens the listener of [admin], if there is one, for metrics, health and the console.
func (g *Gateway) serveConsole(ctx context.Context, group *sync.WaitGroup, failed chan<- error) error {
	cfg := g.cfg.Admin
	if cfg.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		if blocked := g.sockets.BlockedAdmin(cfg.Listen, err); blocked != nil {
			return blocked
		}
		return cli.WithHint(fmt.Errorf("cannot listen for metrics and the console at %s: %w", cfg.Listen, err),
			"set admin.listen to a free address, or to \"\"")
	}
	address, scheme := l.Addr().String(), "http"
	if cfg.TLS {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.certs.Get})
		scheme = "https"
	}
	handler := api.Public(g.metrics.Handler(), g.problem)
	g.sink.Emit(event.Started{Listener: "admin", Address: address, Mode: scheme})
	switch {
	case !cfg.Console:
	case !cfg.TLS && !loopback(address):
		g.warn("console", errors.New("the console is not served: "+address+" is no loopback address and TLS is off"),
			"set admin.tls = true, or admin.listen to a loopback address, or admin.console = false")
	default:
		if handler, err = g.console(handler); err != nil {
			return errors.Join(err, l.Close())
		}
		g.offerSetup(ctx)
	}
	if loopback(address) {
		handler = rooms.HostGuard(g.cfg, handler)
	}
	group.Go(func() { report(failed, api.ServePublic(ctx, l, cfg.Connections, handler, g.log)) })
	return nil
}

// console puts the pages and the API beside what is public.
func (g *Gateway) console(public http.Handler) (http.Handler, error) {
	elsewhere, err := g.signInElsewhere()
	if err != nil {
		return nil, err
	}
	pages, err := web.New(web.Config{OIDC: elsewhere, OIDCButton: g.cfg.OIDC.Button, Service: g.admin,
		Accounts: g.accounts, Secure: g.cfg.Admin.TLS, Log: g.log})
	if err != nil {
		return nil, fmt.Errorf("the console cannot be made: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle(api.Root+"/", api.New(g.admin, g.accounts, g.log).ByToken())
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		mux.Handle(path, public)
	}
	return mux, nil
}

// signInElsewhere is the provider of [oidc], nil without one.
func (g *Gateway) signInElsewhere() (*oidc.Provider, error) {
	cfg := g.cfg.OIDC
	if cfg.Issuer == "" {
		return nil, nil
	}
	return oidc.New(oidc.Config{Issuer: cfg.Issuer, ClientID: cfg.ClientID, ClientSecret: g.secret, Claim: cfg.Claim}),
		nil
}

// loopback reports whether an address can only be reached from this machine.
func loopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// offerSetup says how the first administrator gets in, while there is none. The link itself is a credential, and a log
// is no place for one.
func (g *Gateway) offerSetup(ctx context.Context) {
	if empty, err := g.accounts.Empty(ctx); err == nil && empty {
		g.warn("console", errors.New("nobody can sign in yet"),
			"`postern accounts first` makes a link for the first administrator")
	}
}
