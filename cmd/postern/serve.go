package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"postern/internal/config"
	"postern/internal/event"
	"postern/internal/gateway/recipients"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
)

// serveCmd runs the gateway.
type serveCmd struct{}

// Run serves until SIGINT or SIGTERM; SIGHUP reads the configuration again.
func (*serveCmd) Run(a *app) error {
	to, journal := a.stderr, toJournal(a.stderr, a.getenv("JOURNAL_STREAM"))
	if journal {
		a.stderr = failing{to}
	}
	cfg, err := a.load()
	if err != nil {
		return misconfigured(err)
	}
	if _, err := servant(cfg); err != nil {
		return misconfigured(err)
	}
	sockets, err := rootless(cfg)
	if err != nil {
		return err
	}
	if err := refused(cfg); err != nil {
		sockets.close()
		return misconfigured(err)
	}
	lines, log, end := serveLog(to, cfg.Log, journal)
	a.ending = append(a.ending, end)
	a.stderr = lines
	if journal {
		a.stderr = failing{lines}
	}
	if noService != "" {
		log.Warn("system", "text", noService, "hint", "run the gateway on Linux; demo, check, headers and the verbs that ask a gateway are for every system")
	}
	slog.SetDefault(log) // what libraries say comes here too
	g, err := newGateway(a.ctx, cfg, log)
	if err != nil {
		return err
	}
	g.metrics.LinesLost(lines.Lost)
	g.sockets, g.opened = sockets, g.confine
	g.warnOfDangers(cfg)
	keepWithin(&g.plan)
	for _, p := range exceeding(cfg, &g.plan) {
		g.log.Info("memory", "key", p.Key, "text", p.What)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return errors.Join(g.run(a.ctx, hangup), g.close())
}

// newLogger writes records as the configuration says. journal says that w leads to the journal, which takes priorities.
func newLogger(w io.Writer, cfg config.Log, journal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Level.Slog()}
	handler := func(w io.Writer) slog.Handler {
		if cfg.Format == "json" {
			return slog.NewJSONHandler(w, options)
		}
		return slog.NewTextHandler(w, options)
	}
	if journal {
		return slog.New(newPrioritised(w, handler))
	}
	return slog.New(handler(w))
}

// run opens every socket, works until ctx ends, and stops in order: no new connections, transactions to their end,
// transfers to theirs, then the admin interface.
func (g *gateway) run(ctx context.Context, hangup <-chan os.Signal) error {
	if err := g.listen(); err != nil {
		g.closeSockets()
		return err
	}
	faces, stopFaces := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFaces()
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	var admins, workers sync.WaitGroup
	failed := make(chan error, g.sockets.count()+8)
	if err := g.serveAdmin(faces, &admins, failed); err != nil {
		g.closeSockets()
		stopFaces()
		admins.Wait()
		return err
	}
	if g.opened != nil {
		g.opened()
	}
	g.warnOfTrusts()
	for _, l := range g.listeners {
		for _, socket := range l.sockets {
			g.sink.Emit(event.Started{Listener: l.cfg.Name, Address: socket.Addr().String(), Mode: string(l.cfg.Mode)})
			workers.Go(func() { report(failed, l.server.Serve(socket)) })
		}
	}
	workers.Go(func() { report(failed, g.dispatch.Run(ctx)) })
	workers.Go(func() { report(failed, g.revoke.Run(ctx)) })
	workers.Go(func() { report(failed, g.recipients.Run(ctx)) })
	workers.Go(func() { report(failed, g.names.Run(ctx)) })
	workers.Go(func() { report(failed, g.notifier.Run(ctx)) })
	workers.Go(func() { report(failed, g.watchMemory(ctx)) })
	// What is remembered is written down after the last transfer has ended.
	admins.Go(func() { report(failed, g.memory.Run(faces)) })
	admins.Go(func() { g.traffic.Run(faces) })
	admins.Go(func() { g.accounts.Run(faces) })
	admins.Go(func() { g.shown.Run(faces) })
	g.notify(daemon.SdNotifyReady)

	err := g.wait(ctx, hangup, failed)
	g.notify(daemon.SdNotifyStopping)
	g.stopping.Store(true)
	stop()
	g.shutdownListeners()
	workers.Wait()
	stopFaces()
	admins.Wait()
	return err
}

// report passes on why a part of the gateway ended by itself.
func report(failed chan<- error, err error) {
	if err != nil {
		failed <- err
	}
}

// tendPause is how often files of trust are looked at, and rules that could not be read are tried again.
const tendPause = 5 * time.Second

// wait returns when the gateway is to stop, with the error if a part of it failed.
func (g *gateway) wait(ctx context.Context, hangup <-chan os.Signal, failed <-chan error) error {
	tick := time.NewTicker(tendPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if changed, _ := g.rules.Tend(ctx); changed { // an error is told by the view, and tried again
				g.dispatch.Changed()
			}
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-hangup:
			g.reload(ctx)
		}
	}
}

// serveAdmin opens the control socket and, if configured, the listener for metrics and health.
func (g *gateway) serveAdmin(ctx context.Context, group *sync.WaitGroup, failed chan<- error) error {
	socket, err := api.Listen(g.cfg.Socket())
	if err != nil {
		return fmt.Errorf("cannot open the control socket %s: %w", g.cfg.Socket(), err)
	}
	server := api.New(g.admin, g.accounts, g.log)
	group.Go(func() { report(failed, server.Serve(ctx, socket)) })
	return g.serveConsole(ctx, group, failed)
}

// shutdownListeners ends sessions: idle ones at once with 421, the others when their transaction has ended or the
// drain time is over.
func (g *gateway) shutdownListeners() {
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.Limits.DrainTime.Duration)
	defer cancel()
	var group sync.WaitGroup
	for _, l := range g.listeners {
		group.Go(func() {
			if err := l.server.Shutdown(ctx); err != nil {
				g.warn("stop", err, "some clients were cut off in a transaction; they will try again")
			}
		})
	}
	group.Wait()
}

// notify tells systemd, where it wants to know.
func (g *gateway) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		g.log.Warn("systemd could not be told", "state", state, "err", err)
	}
}

// reload reads the configuration again and puts in force what needs no restart: domains, routes, relay rights and
// users. A broken file changes nothing and says so.
func (g *gateway) reload(ctx context.Context) {
	if g.cfg.Path() == "" {
		return
	}
	if _, err := g.admin.Reload(ctx, "SIGHUP"); err != nil {
		g.warn("configuration", err, "`postern config check` shows what is wrong; the configuration read before stays in force")
	}
}

// readAgain adopts the configuration file again because somebody asks, and tries what waits. Reloads come one after the other.
func (g *gateway) readAgain(ctx context.Context) (out admin.ReloadResult, err error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	defer func() { g.reloaded.note(err == nil, time.Now()) }()
	g.reread()
	if err := g.adopt(ctx, g.cfg.Path()); err != nil {
		return out, fmt.Errorf("%w: %w", admin.ErrNotTaken, err)
	}
	now := g.inForce.Load()
	out = admin.ReloadResult{NeedRestart: append([]string{}, needRestart(g.cfg, now)...), Faults: []admin.ReloadFault{}}
	for _, f := range doubts(ctx, now, time.Now()) {
		if f.Fatal {
			out.Faults = append(out.Faults, admin.ReloadFault{Key: f.Key, Text: f.What, Hint: f.Hint})
		}
	}
	g.dispatch.Changed()
	if later := out.NeedRestart; len(later) > 0 {
		g.warn("configuration", fmt.Errorf("%s: what the file says now holds after a restart", strings.Join(later, ", ")),
			"restart the gateway; everything else of the file is in force")
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
func (g *gateway) reread() {
	g.roots.Reread()
	if g.certs != nil {
		g.certs.Reread()
	}
}

// adopt puts a configuration file in force, all of what needs no restart or nothing.
func (g *gateway) adopt(ctx context.Context, path string) error {
	next, err := config.Load(path)
	if err != nil {
		return err
	}
	if err := refused(next); err != nil {
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
	mailboxes, err := recipients.Read(recipientSources(next))
	if err != nil {
		return err
	}
	client, err := clientCertificate(next)
	if err != nil {
		return err
	}
	checker, err := g.checks(next, client)
	if err != nil {
		return err
	}
	if _, err := g.rules.SetTable(ctx, table); err != nil {
		return err
	}
	g.intake.Store(in)
	g.recipients.Use(mailboxes)
	g.checking.now.Store(checker)
	g.client.Store(client)
	g.inForce.Store(next)
	g.warnOfOwnDomains()
	g.warnOfTrusts()
	g.warnOfDangers(next)
	return nil
}

// mostOwnWarnings bounds the lines that one reload writes about rules.
const mostOwnWarnings = 20

// warnOfOwnDomains logs which rules speak about domains of our own servers, after these may have changed: such a rule does
// nothing about them.
func (g *gateway) warnOfOwnDomains() {
	view := g.rules.Now()
	if view.Err != nil {
		return // whoever asks for rules is told
	}
	list := view.Rules.OwnWarnings(view.OwnDomains())
	for _, w := range list[:min(len(list), mostOwnWarnings)] {
		g.log.Warn("rules", "rule", w.Rule, "text", w.Text, "hint", w.Hint)
	}
	if more := len(list) - mostOwnWarnings; more > 0 {
		g.log.Warn("rules", "text", fmt.Sprintf("%d more rules speak about domains of our own; rules list names them", more))
	}
}

// adopted are the keys and sections that a reload puts in force, for sessions that are open too.
func adopted() []string {
	return []string{"domain", "route", "user", "relay", "relay_client", "tls.ask_clients", "dns.client_names", "delivery.deny_networks", "delivery.port",
		"delivery.client_certificate", "delivery.client_key",
		"limits.header_size", "limits.hops", "limits.login_failures", "limits.login_window"}
}

// needRestart lists the keys that differ from those the process began with and that a reload does not put in force.
func needRestart(began, now *config.Config) []string {
	return slices.DeleteFunc(config.Differences(began, now), func(key string) bool {
		section, _, _ := strings.Cut(key, ".")
		return slices.Contains(adopted(), key) || slices.Contains(adopted(), section)
	})
}

// configDir is the folder of the configuration file, from which relative names start.
func configDir(cfg *config.Config) string {
	if cfg.Path() == "" {
		return ""
	}
	return filepath.Dir(cfg.Path())
}
