package endurance

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

// steppable is what the time package of the standard library gets so that a test can step the wall clock of one
// process, as an administrator or a time daemon steps a machine's. The monotonic clock, which timers follow, is left
// alone: the kernel does not step it either. (Go asks the kernel without a library, so none can be put between; and the
// machine's own clock belongs to everyone.)
const steppable = `
var stepSeconds atomic.Int64

// init follows what the file named by POSTERN_CLOCK_STEP says, in seconds. Now itself may run where no file can be read.
func init() {
	name, found := syscall.Getenv("POSTERN_CLOCK_STEP")
	if !found {
		return
	}
	go func() {
		for ; ; Sleep(10 * Millisecond) {
			fd, err := open(name)
			if err != nil {
				continue
			}
			var buf [32]byte
			n, _ := read(fd, buf[:])
			closefd(fd)
			sign, v := int64(1), int64(0)
			for _, c := range buf[:n] {
				switch {
				case c == '-':
					sign = -1
				case '0' <= c && c <= '9':
					v = v*10 + int64(c-'0')
				}
			}
			stepSeconds.Store(sign * v)
		}
	}()
}
`

// buildSteppable builds the gateway with a clock that can be stepped.
func buildSteppable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const asks = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	const imports = "import (\n"
	patched := strings.Replace(string(text), asks, asks+"\tsec += stepSeconds.Load()\n", 1)
	patched = strings.Replace(patched, imports, imports+"\t\"sync/atomic\"\n\t\"syscall\"\n", 1) + steppable
	if !strings.Contains(string(text), asks) || !strings.Contains(string(text), imports) {
		t.Skip("the time package of this Go is another than this test knows")
	}
	stepped, overlay, binary := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "postern")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {source: stepped}})
	if err == nil {
		err = os.WriteFile(stepped, []byte(patched), 0o600)
	}
	if err == nil {
		err = os.WriteFile(overlay, replace, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", binary, "postern/cmd/postern")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// What a stepped clock does. The standard library is built anew for it, once for each version of Go.
func TestTheClockJumps(t *testing.T) {
	t.Parallel()
	binary := buildSteppable(t)
	t.Run("while mail waits", func(t *testing.T) { t.Parallel(); mailWaitsOverJumps(t, binary) })
	t.Run("over the end of a policy", func(t *testing.T) { t.Parallel(); aPolicyEndsByTheClock(t, binary) })
}

// The wall clock jumps by an hour and a year, both ways, while mail waits and mail comes. Nothing is lost, sent again
// or returned that has its window, nothing forced goes in the clear, waiting mail is tried again soon, and new mail
// flows.
func mailWaitsOverJumps(t *testing.T, binary string) {
	t.Helper()
	const hour, year = 3600, 365 * 24 * 3600
	shown := either([]int64{year, -hour}, []int64{hour, 0, -hour, 0, year, 0, -year, 0, year, -year, -hour})
	s := newSink(t)
	g := newGateway(t, "")
	g.binary = binary
	g.more = append(g.more, fmt.Sprintf("[[route]]\nmatch = [\"shop.test\", \"far.test\", \"clinic.test\"]\nto = [%q]\n", s.addr()))
	cfg := &tls.Config{Certificates: []tls.Certificate{g.ca.Issue(pki.Options{Names: []string{"peer.test"}}).TLS}}
	var broken []*crooked
	for i := range len(shown) + 1 { // one for each jump and one for the end
		broken = append(broken, newCrooked(t, "greeting", "closes", cfg))
		g.more = append(g.more, fmt.Sprintf("[[route]]\nmatch = [\"broken%d.test\"]\nto = [%q]\n", i, broken[i].l.Addr()))
	}
	g.write("step", []byte("0"))
	g.env = []string{"POSTERN_CLOCK_STEP=" + g.path("step")}
	g.start()
	g.write("clinic.rules", []byte("[[rule]]\nname = \"clinic\"\nscope = \"outbound\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"clinic.test\"]\n"))
	if out, code := g.postern("rules", "apply", g.path("clinic.rules")); code != 0 {
		t.Fatalf("rules apply: %s", out)
	}
	send := func(mark, to string) {
		t.Helper()
		if err := g.send(mark, "x", to); err != nil {
			t.Fatal(err)
		}
	}
	send("last.", fmt.Sprintf("bob@broken%d.test", len(shown)))
	for i, seconds := range shown {
		send(fmt.Sprintf("forced-%d.", i), "dr@clinic.test")
		send(fmt.Sprintf("waits-%d.", i), fmt.Sprintf("bob@broken%d.test", i))
		time.Sleep(1500 * time.Millisecond) // it failed more than once
		g.write("step", []byte(fmt.Sprint(seconds)))
		mark := fmt.Sprintf("new-%d.", i)
		send(mark, "bob@shop.test")
		s.arrived(t, []string{mark}, patience, 0)
		eventually(t, patience, "the administrator is told", func() bool { return strings.Count(g.log(), "what=clock") == i+1 })
		time.Sleep(2 * time.Second) // more than a look at the deadlines
		if n := g.waiting(); n != i+3 {
			t.Errorf("at %+d s: %d deliveries wait, want %d", seconds, n, i+3)
		}
		broken[i].mends(t)
	}
	g.stop()
	g.launch() // what is stored was written before and after the jumps
	g.ready()
	broken[len(shown)].mends(t)
	eventually(t, patience, "only forced mail waits", func() bool { return g.waiting() == len(shown) })
	if different, again := s.taken(); different != len(shown) || again != 0 {
		t.Errorf("%d messages and %d again at the sink without TLS, want %d", different, again, len(shown))
	}
}

// mends ends the fault and waits for the one message.
func (p *crooked) mends(t *testing.T) {
	t.Helper()
	p.mend()
	eventually(t, patience, "what waited goes", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.taken == 1
	})
}
