// Package e2e puts the gateway between real mail servers: Postfix in front of it and behind it, Exim and OpenSMTPD
// behind, unbound as its resolver, swaks as a stranger. The gateway is the binary, driven by its own command line. See
// package peers for the servers and for when these tests skip.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/test/harness"
	"postern/test/peers"
)

// patience is how long anything may take that should take a second, on a busy machine.
const patience = 30 * time.Second

func TestMain(m *testing.M) { harness.Main(m) }

// gateway is a running postern.
type gateway struct {
	binary, config string
	addr           string // where it takes mail
	cmd            *exec.Cmd
	log            *bytes.Buffer
	ended          chan struct{}
}

// startGateway runs `postern serve` with a configuration, which listens at addr, and applies rules.
func startGateway(t *testing.T, addr, config, rules string) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{binary: harness.Binary(), config: filepath.Join(dir, "postern.toml"), addr: addr}
	writeFile(t, g.config, config)
	g.postern(t, "config", "check")
	g.serve(t)
	t.Cleanup(func() {
		g.stop(t)
		if t.Failed() {
			t.Logf("what the gateway said:\n%s", g.log)
		}
	})
	if rules != "" {
		g.apply(t, rules)
	}
	return g
}

// serve starts the process and waits until it takes mail.
func (g *gateway) serve(t *testing.T) {
	t.Helper()
	if g.log == nil {
		g.log = &bytes.Buffer{}
	}
	g.cmd = exec.Command(g.binary, "serve", "--config", g.config)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, ended := g.cmd, make(chan struct{})
	g.ended = ended
	go func() {
		_ = cmd.Wait() // a test that needs the exit code looks at ProcessState
		close(ended)
	}()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", g.addr, time.Second); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("the gateway ended at once:\n%s", g.log)
		default:
		}
		if time.Now().After(end) {
			g.stop(t)
			t.Fatalf("the gateway does not answer:\n%s", g.log)
		}
	}
}

// stop ends the process as systemd does, and by force after a while.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	_ = g.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-g.ended:
	case <-time.After(patience):
		_ = g.cmd.Process.Kill()
		<-g.ended
		t.Errorf("the gateway did not stop within %v", patience)
	}
}

// kill ends the process as a power failure does.
func (g *gateway) kill() {
	_ = g.cmd.Process.Kill() // it may have ended already
	<-g.ended
}

// postern runs a verb, which must succeed, and returns its standard output.
func (g *gateway) postern(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.binary, append(args, "--config", g.config)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("postern %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// apply puts rules in force.
func (g *gateway) apply(t *testing.T, rules string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.toml")
	writeFile(t, path, rules)
	g.postern(t, "rules", "apply", path)
}

// delivery is the part of a trace object that these tests look at (design.md §7: one object per delivery).
type delivery struct {
	Message    string `json:"message"`
	From       string `json:"from"`
	To         string `json:"to"`
	State      string `json:"state"`
	Requires   string `json:"requires"`
	Reached    string `json:"reached"`
	Reason     string `json:"reason"`
	MX         string `json:"mx"`
	TLSVersion string `json:"tls_version"`
	Cipher     string `json:"cipher"`
	NotAfter   string `json:"cert_not_after"`
	raw        string
}

// trace waits until the newest delivery to a recipient is as wanted and returns it.
func (g *gateway) trace(t *testing.T, recipient string, wanted func(delivery) bool) delivery {
	t.Helper()
	var last string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		last = g.postern(t, "trace", "--json", "--recipient", recipient)
		for line := range strings.Lines(last) {
			var d delivery
			if err := json.Unmarshal([]byte(line), &d); err != nil {
				t.Fatalf("trace: %v in %s", err, line)
			}
			if d.raw = line; wanted(d) {
				return d
			}
		}
	}
	t.Fatalf("the mail to %s is not as it should be; trace:\n%s", recipient, last)
	return delivery{}
}

// in is a condition for trace: a state.
func in(state string) func(delivery) bool { return func(d delivery) bool { return d.State == state } }

// waitsFor is a condition for trace: not finished, for this reason.
func waitsFor(reason string) func(delivery) bool {
	return func(d delivery) bool { return d.State == "queued" && d.Reason == reason }
}

// send gives a mail to a server with swaks; it must be accepted.
func send(t *testing.T, server, from, to, body string, more ...string) {
	t.Helper()
	args := append([]string{"--server", server, "--from", from, "--to", to, "--body", body}, more...)
	if dialogue, ok := peers.Swaks(t, args...); !ok {
		t.Fatalf("swaks from %s to %s at %s:\n%s", from, to, server, dialogue)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
