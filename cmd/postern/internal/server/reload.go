package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/cmd/postern/internal/confcheck"
	"postern/cmd/postern/internal/rooms"
	"postern/internal/config"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
)

// reload reads the configuration again and puts in force what needs no restart: domains, routes, relay rights and
// users. A broken file changes nothing and says so.
func (g *Gateway) reload(ctx context.Context) {
	if g.cfg.Path() == "" {
		return
	}
	if _, err := g.admin.For(access.Root("SIGHUP")).Reread(ctx); err != nil {
		g.warn("configuration", err, "`postern config check` shows what is wrong; the configuration read before "+
			"stays in force")
	}
}

// readAgain adopts the configuration file again because somebody asks, and tries what waits. Reloads come one after the
// other.
func (g *Gateway) readAgain(ctx context.Context) (out admin.ReloadResult, err error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	defer func() { g.reloaded.note(err == nil, time.Now()) }()
	g.reread()
	if err := g.adopt(ctx, g.cfg.Path()); err != nil {
		return out, fmt.Errorf("%w: %w", admin.ErrNotTaken, err)
	}
	now := g.inForce.Load()
	out = admin.ReloadResult{NeedRestart: append([]string{}, needRestart(g.cfg, now)...), Faults: []admin.ReloadFault{}}
	for _, f := range confcheck.Doubts(ctx, now, time.Now()) {
		if f.Fatal {
			out.Faults = append(out.Faults, admin.ReloadFault{Key: f.Key, Text: f.What, Hint: f.Hint})
		}
	}
	g.dispatch.Changed()
	if later := out.NeedRestart; len(later) > 0 {
		g.warn("configuration", fmt.Errorf("%s: what the file says now holds after a restart",
			strings.Join(later, ", ")), "restart the gateway; everything else of the file is in force")
	}
	sites, err := g.store.Sites(ctx)
	if err != nil {
		g.warn("queue", err, "waiting mail keeps its old schedule")
		return out, nil
	}
	for _, s := range sites {
		g.dispatch.Kick(ctx, s.Key)
	}
	return out, nil
}

// reread reads the files again that the configuration names, whatever they look like: somebody asks.
func (g *Gateway) reread() {
	g.roots.Reread()
	if g.certs != nil {
		g.certs.Reread()
	}
	if g.acme != nil {
		g.acme.Again()
	}
}

// adopt puts a configuration file in force, all of what needs no restart or nothing.
func (g *Gateway) adopt(ctx context.Context, path string) error {
	next, err := config.Load(path)
	if err != nil {
		return err
	}
	files, err := confcheck.Examine(next)
	if err != nil {
		return err
	}
	table, err := g.routes(next)
	if err != nil {
		return err
	}
	in, err := g.receiving(next)
	if err != nil {
		return err
	}
	checker, err := g.checks(next, files.Client)
	if err != nil {
		return err
	}
	if _, err := g.rules.SetTable(ctx, table, rooms.Clients(next)); err != nil {
		return err
	}
	g.intake.Store(in)
	g.recipients.Use(files.Mailboxes)
	g.checking.now.Store(checker)
	g.client.Store(files.Client)
	g.inForce.Store(next)
	g.zones.Changed()
	g.warnOfOwnDomains()
	g.warnOfTrusts()
	g.warnOfRoutes()
	g.warnOfDangers(next)
	return nil
}

// adopted are the keys and sections that a reload puts in force, for sessions that are open too.
func adopted() []string {
	return []string{"domain", "route", "user", "relay", "relay_client", "tls.ask_clients", "tls.next_keys",
		"tls.partner_page", "dns.client_names", "policies.dane", "policies.sts", "delivery.deny_networks",
		"delivery.port", "delivery.source", "delivery.client_certificate", "delivery.client_key",
		"limits.header_size", "limits.hops", "limits.login_failures", "tlsrpt.receive", "tlsrpt.receive_https",
		"limits.login_window"}
}

// needRestart lists the keys that differ from those the process began with and that a reload does not put in force.
func needRestart(began, now *config.Config) []string {
	return slices.DeleteFunc(config.Differences(began, now), func(key string) bool {
		section, _, _ := strings.Cut(key, ".")
		return slices.Contains(adopted(), key) || slices.Contains(adopted(), section)
	})
}
