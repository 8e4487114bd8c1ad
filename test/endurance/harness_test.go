// Package endurance holds the gateway against a world that is slow, broken or hostile, from outside: the real binary as
// a process on the loopback. Each scenario has a short form, which runs with every test, and, where time matters, a
// long one: POSTERN_SOAK=1 (make soak).
package endurance

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

// patience is how long anything may take that should take a moment, on a busy machine.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // these tests mostly wait; -parallel on the command line wins
	harness.Main(m)
}

// long reports whether the long forms are wanted.
func long() bool { return os.Getenv("POSTERN_SOAK") != "" }

// either is the short form's value or the long one's.
func either[T any](brief, extended T) T {
	if long() {
		return extended
	}
	return brief
}

// lastIP counts the loopback addresses given out, so that tests running side by side never meet.
var lastIP atomic.Uint32

// newIP is a loopback address of its own. The process id keeps test processes apart.
func newIP() string {
	n := lastIP.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 192+os.Getpid()%63, n>>8&0xff, n&0xff)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", newIP()+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// freeAddress is a loopback address and port that nothing uses.
func freeAddress(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}

// gateway is one gateway with its files. Change settings before start.
type gateway struct {
	t        *testing.T
	binary   string
	dir      string
	addr     string
	ca       *pki.CA
	settings map[string]string // "section.key" to its TOML value
	more     []string          // further tables of the configuration
	extra    []*os.File        // passed as descriptors 3 and on
	env      []string
	first    string // what the shell does before it becomes the gateway
	launched int
	cmd      *exec.Cmd
	ended    chan struct{}
}

// newGateway makes one that sends all mail to a host, "" to find hosts by DNS. It is not started yet.
func newGateway(t *testing.T, to string) *gateway {
	t.Helper()
	g := &gateway{t: t, binary: harness.Binary(), dir: t.TempDir(), addr: freeAddress(t), ca: pki.New(time.Now(), "Endurance Root")}
	g.settings = map[string]string{
		"hostname": `"gw.home.test"`, "data": `"data"`, "tls.certificates": `[{ cert = "gw.pem", key = "gw.key" }]`,
		"relay.networks": `["127.0.0.0/8"]`, "dns.servers": `["127.0.0.1:9"]`, "trust.roots": `"ca.pem"`, "admin.listen": `""`,
		"delivery.deny_networks": "[]", "delivery.retry": `["1s"]`, "delivery.attempt_timeout": `"5s"`, "delivery.idle_time": `"1s"`,
		"delivery.delay_notice": "0", "limits.drain_time": `"5s"`,
	}
	cert := g.ca.Issue(pki.Options{Names: []string{"gw.home.test"}})
	g.write("ca.pem", g.ca.RootPEM())
	g.write("gw.pem", cert.CertPEM)
	g.write("gw.key", cert.KeyPEM)
	if to != "" {
		g.more = append(g.more, fmt.Sprintf("[[route]]\nmatch = [\"*\"]\nto = [%q]\n", to))
	}
	return g
}

func (g *gateway) path(name string) string { return filepath.Join(g.dir, name) }

func (g *gateway) write(name string, content []byte) {
	g.t.Helper()
	if err := os.WriteFile(g.path(name), content, 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// configure writes the configuration.
func (g *gateway) configure() {
	g.t.Helper()
	var b strings.Builder
	for key, value := range g.settings { // dotted keys stand anywhere
		fmt.Fprintf(&b, "%s = %s\n", key, value)
	}
	fmt.Fprintf(&b, "\n[[listen]]\nname = \"world\"\naddress = %q\n%s", g.addr, strings.Join(g.more, "\n"))
	g.write("postern.toml", []byte(b.String()))
}

// launch starts the process without waiting for it to work.
func (g *gateway) launch() {
	g.t.Helper()
	log, err := os.OpenFile(g.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		g.t.Fatal(err)
	}
	defer log.Close()
	// A shell sets LISTEN_PID, which must be the process's own id.
	g.cmd = exec.Command("/bin/sh", "-c", g.first+`LISTEN_PID=$$ exec "$0" serve --config "$1"`, g.binary, g.path("postern.toml"))
	g.cmd.Stdout, g.cmd.Stderr, g.cmd.ExtraFiles = log, log, g.extra
	g.cmd.Env = append(os.Environ(), g.env...)
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.launched++
	ended := make(chan struct{})
	cmd := g.cmd
	g.ended = ended
	go func() {
		_ = cmd.Wait() // the exit code is in ProcessState
		close(ended)
	}()
}

// start runs the gateway until the end of the test and waits until it listens.
func (g *gateway) start() {
	g.t.Helper()
	g.configure()
	g.launch()
	g.t.Cleanup(func() {
		if g.running() {
			g.stop()
		}
		if g.t.Failed() {
			g.t.Logf("the end of the gateway's log:\n%s", tail(g.log(), 4000))
		}
	})
	g.ready()
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// ready waits until the gateway says that it listens, and has given up what it gives up.
func (g *gateway) ready() {
	g.t.Helper()
	eventually(g.t, patience, "the gateway listens", func() bool {
		if !g.running() {
			g.t.Fatalf("the gateway ended at once:\n%s", g.log())
		}
		return strings.Count(g.log(), "msg=listening listener=world") == g.launched
	})
}

func (g *gateway) running() bool {
	select {
	case <-g.ended:
		return false
	default:
		return g.cmd != nil
	}
}

func (g *gateway) signal(s os.Signal) { _ = g.cmd.Process.Signal(s) } // it may have ended

// stop ends the gateway as systemd does and returns how long that took.
func (g *gateway) stop() time.Duration {
	g.t.Helper()
	began := time.Now()
	g.signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(patience):
		g.t.Errorf("the gateway did not stop within %v", patience)
		g.signal(syscall.SIGKILL)
		<-g.ended
	}
	return time.Since(began)
}

// exit waits for the gateway to end by itself and returns its exit code.
func (g *gateway) exit() int {
	g.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(patience):
		g.signal(syscall.SIGKILL)
		g.t.Fatalf("the gateway goes on:\n%s", g.log())
	}
	return g.cmd.ProcessState.ExitCode()
}

// log is everything the gateway has logged so far.
func (g *gateway) log() string {
	text, err := os.ReadFile(g.path("log"))
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// postern runs a verb and returns what it printed and its exit code.
func (g *gateway) postern(args ...string) (string, int) {
	g.t.Helper()
	cmd := exec.Command(harness.Binary(), args...)
	cmd.Env = append(os.Environ(), "POSTERN_CONFIG="+g.path("postern.toml"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		g.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// waiting counts the deliveries in the queue.
func (g *gateway) waiting() int {
	g.t.Helper()
	out, code := g.postern("queue", "list", "--json", "--limit", "1000000")
	if code != 0 {
		g.t.Fatalf("queue list: %s", out)
	}
	return strings.Count(out, "\n")
}

// status is a line of /proc/PID/status, without its name.
func (g *gateway) status(name string) string {
	g.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		g.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n"+name+":")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}

// resident is the memory the gateway holds, in bytes.
func (g *gateway) resident() int64 {
	g.t.Helper()
	kb, err := strconv.ParseInt(strings.TrimSuffix(g.status("VmRSS"), " kB"), 10, 64)
	if err != nil {
		g.t.Fatal(err)
	}
	return kb << 10
}

// eventually waits until ok, or fails the test.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// hash makes the hash of a password as an administrator would.
func (g *gateway) hash(password string) (string, int) {
	g.t.Helper()
	cmd := exec.Command(harness.Binary(), "config", "hash-password")
	cmd.Stdin = strings.NewReader(password + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), 1
	}
	return strings.TrimSpace(string(out)), 0
}
