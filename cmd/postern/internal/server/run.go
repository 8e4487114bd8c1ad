package server

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"postern/internal/event"
	"postern/internal/operator/api"
)

// Run opens every socket, works until ctx ends, and stops in order: no new connections, transactions to their end,
// transfers to theirs, then the admin interface.
func (g *Gateway) Run(ctx context.Context, hangup <-chan os.Signal) error {
	if err := g.listen(); err != nil {
		g.closeSockets()
		return err
	}
	faces, stopFaces := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFaces()
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	var admins, workers sync.WaitGroup
	failed := make(chan error, g.sockets.Count()+14)
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
	g.warnOfRoutes()
	for _, l := range g.listeners {
		for _, socket := range l.sockets {
			g.sink.Emit(event.Started{Listener: l.cfg.Name, Address: socket.Addr().String(), Mode: string(l.cfg.Mode)})
			workers.Go(func() { report(failed, l.server.Serve(g.behindBalancer(l.cfg, socket))) })
		}
	}
	workers.Go(func() { report(failed, g.dispatch.Run(ctx)) })
	workers.Go(func() { report(failed, g.revoke.Run(ctx)) })
	workers.Go(func() { report(failed, g.policies.Run(ctx)) })
	workers.Go(func() { report(failed, g.recipients.Run(ctx)) })
	workers.Go(func() { report(failed, g.names.Run(ctx)) })
	workers.Go(func() { report(failed, g.zones.Run(ctx)) })
	workers.Go(func() { report(failed, g.expiry.Run(ctx)) })
	if g.acme != nil {
		workers.Go(func() { report(failed, g.acme.Run(ctx)) })
	}
	workers.Go(func() { report(failed, g.reminds(ctx)) })
	workers.Go(func() { report(failed, g.notifier.Run(ctx)) })
	if g.reports != nil {
		workers.Go(func() { report(failed, g.reports.Run(ctx)) })
	}
	workers.Go(func() { report(failed, g.watchMemory(ctx)) })
	// What is remembered is written down after the last transfer has ended.
	admins.Go(func() { report(failed, g.memory.Run(faces)) })
	admins.Go(func() { report(failed, g.joins(faces)) })
	admins.Go(func() { g.store.Listen(faces, g.nodes.Poke) })
	admins.Go(func() { g.traffic.Run(faces) })
	admins.Go(func() { g.counts.Run(faces) })
	admins.Go(func() { g.inbound.Run(faces) })
	admins.Go(func() { g.forgetReports(faces) })
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

// tendPause is how often files of trust are looked at, and rules that could not be read are tried again.
const tendPause = 5 * time.Second

// wait returns when the gateway is to stop, with the error if a part of it failed.
func (g *Gateway) wait(ctx context.Context, hangup <-chan os.Signal, failed <-chan error) error {
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
func (g *Gateway) serveAdmin(ctx context.Context, group *sync.WaitGroup, failed chan<- error) error {
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
func (g *Gateway) shutdownListeners() {
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
func (g *Gateway) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		g.log.Warn("systemd could not be told", "state", state, "err", err)
	}
}
