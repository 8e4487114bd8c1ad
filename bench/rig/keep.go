package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/bench/measure"
	"postern/internal/lab/postgres"
	"postern/test/peers"
)

// Spec says which server to run and how. It is what the keeper is told.
type Spec struct {
	// Kind is one of Kinds.
	Kind string
	// Port on 127.0.0.1 to take mail at.
	Port int
	// Sink is where everything goes, "host:port".
	Sink string
	// TLS on both hops; the certificate is Cert and Key, PEM. Without it neither hop has any.
	TLS       bool
	Cert, Key []byte
	// Binary is Postern's, Bench this program's own.
	Binary, Bench string
	// Hops, when not 0, is how many next hops there are: what is for dN.bench.test goes to Hop(N, Sink).
	Hops int
	// Rules is the text of a rules file for Postern; "": none.
	Rules string
	// MX sends Postern's mail where DNS says, which Settings name, and not by a route to Sink.
	MX bool
	// Folder for data that is there already; "": an empty one that goes when the server ends.
	Folder string
	// Settings are further keys of Postern's configuration, "section.key" to the TOML of the value.
	Settings map[string]string
}

// The kinds of servers.
const (
	Postern   = "postern"
	Shared    = "postgres" // Postern with its mail in a PostgreSQL of its own, whose processes count as the gateway's
	Postfix   = "postfix"
	Exim      = "exim"
	OpenSMTPD = "opensmtpd"
	Null      = "null"
)

// Kinds lists them in the order of the tables.
func Kinds() []string { return []string{Postern, Shared, Postfix, Exim, OpenSMTPD, Null} }

// ready is what a keeper prints when its server answers; anything else is why it does not.
const ready = "ready"

// Keep is the keeper's whole life: it starts the server that the specification on standard input's first line names,
// says so, waits for the end of standard input, and ends everything below itself. It adopts what the server leaves
// behind, so that no processor time and no process is ever lost (measure.Tree).
func Keep(stdin io.Reader, stdout io.Writer) {
	// The end of standard input is what ends a keeper. Signals are caught, not ignored: what is ignored is inherited.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	h := &host{}
	defer h.end()
	lines := json.NewDecoder(stdin)
	var s Spec
	err := measure.Adopt()
	if err == nil {
		err = lines.Decode(&s)
	}
	if err == nil {
		err = h.start(s)
	}
	if err != nil {
		fmt.Fprintln(stdout, strings.ReplaceAll(err.Error(), "\n", " | "))
		return
	}
	over := make(chan struct{})
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-over:
				tick.Stop()
				return
			case <-tick.C:
				measure.Reap()
			}
		}
	}()
	fmt.Fprintln(stdout, ready)
	_, _ = io.Copy(io.Discard, lines.Buffered())
	_, _ = io.Copy(io.Discard, stdin) // whatever ends it
	close(over)
	<-reaped
}

// host stands in for the test that the peers' package expects: it keeps what is to be cleaned up, and a failure is an
// error. Methods that are not here are not used there.
type host struct {
	testing.TB
	cleanups []func()
}

// failure is what a failed start panics with.
type failure string

func (h *host) Helper()                           {}
func (h *host) Failed() bool                      { return false }
func (h *host) Cleanup(f func())                  { h.cleanups = append(h.cleanups, f) }
func (h *host) Logf(string, ...any)               {}
func (h *host) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (h *host) Fatal(args ...any)                 { panic(failure(fmt.Sprint(args...))) }
func (h *host) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }
func (h *host) Skipf(format string, args ...any)  { panic(failure(fmt.Sprintf(format, args...))) }

// end kills what runs and then removes what is left.
func (h *host) end() {
	measure.Tree(os.Getpid()).Kill()
	for len(h.cleanups) > 0 {
		last := h.cleanups[len(h.cleanups)-1]
		h.cleanups = h.cleanups[:len(h.cleanups)-1]
		last()
	}
}

func (h *host) start(s Spec) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s: %s", s.Kind, string(e))
		default:
			panic(e)
		}
	}()
	switch s.Kind {
	case Postfix:
		peers.Postfix(h, peerServer(s, postfixTuning))
	case Exim:
		peers.Exim(h, peerServer(s, eximTuning))
	case OpenSMTPD:
		peers.OpenSMTPD(h, peerServer(s, opensmtpdTuning))
	case Postern:
		return h.postern(s)
	case Shared:
		return h.shared(s)
	case Null:
		return h.null(s)
	default:
		return fmt.Errorf("there is no server %q", s.Kind)
	}
	return nil
}

// folder is where a server keeps its data.
func (h *host) folder(s Spec) (string, error) {
	if s.Folder != "" {
		return s.Folder, nil
	}
	dir, err := os.MkdirTemp("", "postern-bench-"+s.Kind+"-")
	if err == nil {
		h.Cleanup(func() { os.RemoveAll(dir) })
	}
	return dir, err
}

func (h *host) postern(s Spec) error {
	dir, err := h.folder(s)
	if err != nil {
		return err
	}
	conf := filepath.Join(dir, "postern.toml")
	for name, content := range map[string][]byte{"postern.toml": []byte(posternConfig(s)), "cert.pem": s.Cert,
		"key.pem": s.Key, "rules.toml": []byte(s.Rules)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	if err := h.run(s, dir, s.Binary, "serve", "--config", conf); err != nil {
		return err
	}
	if s.Rules == "" {
		return nil
	}
	if out, err := exec.Command(s.Binary, "rules", "apply", "--config", conf,
		filepath.Join(dir, "rules.toml")).CombinedOutput(); err != nil {
		return fmt.Errorf("postern rules apply: %w: %.500s", err, out)
	}
	return nil
}

// shared runs Postern with its mail in a PostgreSQL that it alone uses.
func (h *host) shared(s Spec) error {
	db, err := postgres.Start(PostgresTuning()...)
	if err != nil {
		return err
	}
	h.Cleanup(func() { _ = db.Stop() }) // it was killed with everything else
	s.Settings = maps.Clone(s.Settings)
	if s.Settings == nil {
		s.Settings = map[string]string{}
	}
	s.Settings["store"] = fmt.Sprintf("%q", db.Local())
	return h.postern(s)
}

func (h *host) null(s Spec) error {
	dir, err := h.folder(s)
	if err != nil {
		return err
	}
	args := []string{"null", "-listen", fmt.Sprintf("127.0.0.1:%d", s.Port), "-next", s.Sink, "-log",
		filepath.Join(dir, "log")}
	if s.TLS {
		for name, content := range map[string][]byte{"cert.pem": s.Cert, "key.pem": s.Key} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				return err
			}
		}
		args = append(args, "-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"))
	}
	if s.Hops > 0 {
		var list strings.Builder
		for domain, address := range s.routes() {
			fmt.Fprintf(&list, "%s %s\n", domain, address)
		}
		path := filepath.Join(dir, "hops")
		if err := os.WriteFile(path, []byte(list.String()), 0o600); err != nil {
			return err
		}
		args = append(args, "-hops", path, "-connections", "2")
	}
	return h.run(s, dir, s.Bench, args...)
}

// run starts a program with its output in a file and waits until its port greets.
func (h *host) run(s Spec, dir, name string, args ...string) error {
	log, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if err := greets(ctx, s.Port); err != nil {
		text, _ := os.ReadFile(log.Name()) // what it said is only more to read
		return fmt.Errorf("%s does not answer: %w: %.1000s", s.Kind, err, text)
	}
	return nil
}
