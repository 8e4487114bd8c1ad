// Package demo shows the gateway at work in a world of its own on the loopback.
//
// world.go is the world: a CA, a name server, and partners with faults, each at an address of 127.0.0.0/8. story.go is
// what happens in it: messages, and how each must end. board.go shows it. The gateway is the real one, and at the end
// the partners are asked what they heard.
package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/confcheck"
	"postern/cmd/postern/internal/logging"
	"postern/cmd/postern/internal/server"
	"postern/internal/config"
	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/api"
	"postern/internal/operator/trace"
	"postern/internal/smtp/smtpclient"
)

// Cmd shows the gateway at work in a world of its own.
type Cmd struct {
	Stay bool `help:"Leave the gateway and its world running at the end, until Ctrl-C."`

	oneAddress bool // for tests: see demoWorld
}

// limit bounds the story.
const limit = 50 * time.Second

// Run builds the world, starts the real gateway in it, sends the story's messages and shows what becomes of each.
func (d *Cmd) Run(a *cli.App) error {
	dir, err := os.MkdirTemp("", "postern-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w, err := NewWorld(dir, d.oneAddress)
	if err != nil {
		return err
	}
	defer w.Close()
	logFile, err := os.Create(filepath.Join(dir, "postern.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cfg, err := config.Load(filepath.Join(dir, "postern.toml"))
	if err != nil {
		return err
	}
	files, err := confcheck.Examine(cfg)
	if err != nil {
		return err
	}
	address := listening{make(chan string, 1), make(chan string, 1)}
	g, err := server.New(a.Ctx, cfg, files, w, logging.NewLogger(logFile, cfg.Log, false), address)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(a.Ctx)
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx, nil) }()
	err = d.tell(ctx, a, w, cfg, address, ended)
	stop()
	return errors.Join(err, <-ended, g.Close())
}

// listening is a sink that catches where the gateway listens for mail, and where its console is.
type listening struct{ mail, console chan string }

// Emit passes on the addresses of the listeners.
func (l listening) Emit(e event.Event) {
	s, ok := e.(event.Started)
	switch {
	case ok && s.Listener == "world":
		l.mail <- s.Address
	case ok && s.Listener == "admin":
		l.console <- s.Mode + "://" + s.Address
	}
}

// tell runs the story. An error of the gateway while it runs is put back for Run to return.
func (d *Cmd) tell(ctx context.Context, a *cli.App, w *World, cfg *config.Config, address listening,
	ended chan error) error {
	var at string
	select {
	case at = <-address.mail:
	case err := <-ended:
		ended <- nil
		return err
	}
	client := api.Dial(cfg.Socket())
	client.By = "demo"
	defer client.Close()
	if err := applyRules(ctx, client, filepath.Join(w.Dir, "rules.toml")); err != nil {
		return err
	}
	board := newBoard(a.Stdout)
	board.open(at)
	for i := range story {
		if err := send(ctx, at, w, i); err != nil {
			return fmt.Errorf("the gateway did not take a message: %w", err)
		}
	}
	if err := d.watch(ctx, w, client, board); err != nil {
		return err
	}
	failed := board.close(w.leaks(forcedRecipients(board)))
	if d.Stay {
		if err := d.stay(ctx, a, w, client, at, <-address.console); err != nil {
			return err
		}
	}
	if failed > 0 {
		return cli.Short(fmt.Sprintf("%s did not end as told", cli.Plural(failed, "recipient")))
	}
	return nil
}

// stay says where to look, and waits for Ctrl-C. The console's listener was opened before the one for mail.
func (d *Cmd) stay(ctx context.Context, a *cli.App, w *World, client *api.Client, at, console string) error {
	link, err := client.Invite(ctx, api.InviteRequest{Name: "demo", New: true, Role: access.Administrator})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "\nThe gateway stays up at %s until Ctrl-C. Its console, with a link that lets you choose "+
		"a password:\n  %s/setup#%s\nIn another terminal:\n  postern trace --config %s\n  log: %s\n", at, console,
		link.Secret, filepath.Join(w.Dir, "postern.toml"), filepath.Join(w.Dir, "postern.log"))
	<-ctx.Done()
	return nil
}

func applyRules(ctx context.Context, client *api.Client, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = client.ApplyRules(ctx, admin.ApplyRequest{Name: "rules.toml", Text: string(text)})
	return err
}

// watch looks at the trace until every story has ended.
func (d *Cmd) watch(ctx context.Context, w *World, client *api.Client, board *board) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	repaired := false
	for start := time.Now(); ; {
		if !repaired && time.Since(start) > repairAfter {
			repaired = true
			w.Repair("mx.law.test")
			board.say("law.test has renewed its certificate")
		}
		var traces []trace.Delivery
		for t, err := range client.Traces(ctx, trace.Query{}) {
			if err != nil {
				return err
			}
			traces = append(traces, t)
		}
		board.show(traces)
		if board.done() || time.Since(start) > limit {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the demo was stopped before its end")
		case <-tick.C:
		}
	}
}

// send hands one message to the gateway as an organisation's own server would: over STARTTLS.
func send(ctx context.Context, at string, w *World, i int) error {
	m := story[i]
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return err
	}
	c := smtpclient.New(nc, smtpclient.Config{Hello: "mail.practice.test"})
	defer c.Close()
	if _, err := c.Greet(ctx); err != nil {
		return err
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	if _, err := c.StartTLS(ctx, &tls.Config{ServerName: "gw.practice.test", RootCAs: w.Ca.Pool()}); err != nil {
		return err
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	text := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: %s\r\nDate: %s\r\n\r\nThis is the "+
		"demonstration.\r\n",
		m.from, strings.Join(m.to, ">, <"), m.title, messageID(i), w.Now.Format(time.RFC1123Z))
	t := &smtpclient.Transaction{Envelope: mail.Envelope{From: mail.MustAddress(m.from)}, Body: strings.NewReader(text)}
	for _, to := range m.to {
		t.Recipients = append(t.Recipients, mail.Recipient{Address: mail.MustAddress(to)})
	}
	result, err := c.Send(ctx, t)
	if err != nil {
		return err
	}
	for _, r := range result.Recipients {
		if r.Outcome != smtpclient.Delivered {
			return fmt.Errorf("%s: %s", m.to, r.Reply)
		}
	}
	c.Quit(ctx)
	return nil
}
