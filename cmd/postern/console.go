package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"postern/internal/accounts"
	"postern/internal/admin/api"
	"postern/internal/admin/oidc"
	"postern/internal/admin/web"
	"postern/internal/event"
)

// serveConsole opens the listener of [admin], if there is one, for metrics, health and the console.
func (g *gateway) serveConsole(ctx context.Context, group *sync.WaitGroup, failed chan<- error) error {
	cfg := g.cfg.Admin
	if cfg.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return withHint(fmt.Errorf("cannot listen for metrics and the console at %s: %w", cfg.Listen, err), "set admin.listen to a free address, or to \"\"")
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
		group.Go(func() { g.offerSetup(ctx, scheme+"://"+address) })
	}
	group.Go(func() { report(failed, api.ServePublic(ctx, l, handler, g.log)) })
	return nil
}

// console puts the pages and the API beside what is public.
func (g *gateway) console(public http.Handler) (http.Handler, error) {
	elsewhere, err := g.signInElsewhere()
	if err != nil {
		return nil, err
	}
	pages, err := web.New(web.Config{OIDC: elsewhere, OIDCButton: g.cfg.OIDC.Button, Service: g.admin, Accounts: g.accounts, Secure: g.cfg.Admin.TLS, Log: g.log})
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
func (g *gateway) signInElsewhere() (*oidc.Provider, error) {
	cfg := g.cfg.OIDC
	if cfg.Issuer == "" {
		return nil, nil
	}
	out := oidc.Config{Issuer: cfg.Issuer, ClientID: cfg.ClientID, Claim: cfg.Claim}
	if file := string(cfg.ClientSecretFile); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, withHint(fmt.Errorf("the client secret of [oidc] cannot be read: %w", err), "write it into that file, readable by the gateway's user alone")
		}
		out.ClientSecret = strings.TrimSpace(string(text))
	}
	return oidc.New(out), nil
}

// loopback reports whether an address can only be reached from this machine.
func loopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// setupEvery is how often the link for the first administrator is made anew: a little before the one before ends.
const setupEvery = 55 * time.Minute

// offerSetup writes the link that makes the first administrator to the log, as long as there is none.
func (g *gateway) offerSetup(ctx context.Context, base string) {
	for {
		key, err := g.accounts.First(ctx)
		switch {
		case errors.Is(err, accounts.ErrSetUp), ctx.Err() != nil:
			return
		case err != nil:
			g.warn("console", err, "`postern accounts invite NAME` makes a link too")
		default:
			g.log.Warn("console", "text", "nobody can sign in yet; this link makes the first administrator, once and within an hour", "link", base+"/setup#"+key)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(setupEvery):
		}
	}
}
