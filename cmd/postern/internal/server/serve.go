package server

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/confcheck"
	"postern/cmd/postern/internal/logging"
	"postern/cmd/postern/internal/process"
)

// Cmd runs the gateway.
type Cmd struct{}

// Run serves until SIGINT or SIGTERM; SIGHUP reads the configuration again.
func (*Cmd) Run(a *cli.App) error {
	to, journal := a.Stderr, logging.ToJournal(a.Stderr, a.Getenv("JOURNAL_STREAM"))
	if journal {
		a.Stderr = logging.Errors(to)
	}
	cfg, err := a.Load()
	if err != nil {
		return cli.Misconfigured(err)
	}
	if _, err := process.Servant(cfg); err != nil {
		return cli.Misconfigured(err)
	}
	sockets, err := rootless(cfg)
	if err != nil {
		return err
	}
	files, err := confcheck.Examine(cfg)
	if err != nil {
		sockets.Close()
		return cli.Misconfigured(err)
	}
	lines, log, end := logging.Open(to, cfg.Log, journal)
	a.Ending = append(a.Ending, end)
	a.Stderr = lines
	if journal {
		a.Stderr = logging.Errors(lines)
	}
	if noService != "" {
		log.Warn("system", "text", noService, "hint", "run the gateway on Linux; demo, check, headers and the "+
			"verbs that ask a gateway are for every system")
	}
	slog.SetDefault(log) // what libraries say comes here too
	g, err := New(a.Ctx, cfg, files, &net.Dialer{}, log)
	if err != nil {
		return err
	}
	g.metrics.LinesLost(lines.Lost)
	g.sockets, g.opened = sockets, g.confine
	g.warnOfDangers(cfg)
	keepWithin(&g.plan)
	for _, p := range confcheck.Exceeding(cfg, &g.plan) {
		g.log.Info("memory", "key", p.Key, "text", p.What)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return errors.Join(g.Run(a.Ctx, hangup), g.Close())
}
