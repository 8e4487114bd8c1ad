package peers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTime is how long a server may take until it answers, on a busy machine.
const startTime = 20 * time.Second

// Process is a running server.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
	stop sync.Once
	// Logs are files the server writes besides its standard output, shown when the test fails.
	logs []string
}

// start runs a server in a process group of its own until the test ends. as is the user to run it as, "" for root.
func start(t testing.TB, name, as string, logs []string, argv ...string) *Process {
	t.Helper()
	return launch(t, name, as, logs, environment(t), argv...)
}

// launch is start in an environment.
func launch(t testing.TB, name, as string, logs, env []string, argv ...string) *Process {
	t.Helper()
	p := &Process{name: name, cmd: exec.Command(argv[0], argv[1:]...), log: &lockedBuffer{}, done: make(chan struct{}),
		logs: logs}
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if as != "" {
		uid, gid := ids(t, as)
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended does not matter: the test fails by what it does not see
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("what %s said:\n%s", name, p.Log())
		}
	})
	return p
}

// Stop ends the server with everything it started. It may be called more than once.
func (p *Process) Stop() {
	p.stop.Do(func() {
		group := -p.cmd.Process.Pid
		_ = syscall.Kill(group, syscall.SIGTERM) // it may have ended already
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
		}
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-p.done
	})
}

// Log returns what the server has said so far.
func (p *Process) Log() string {
	text := p.log.String()
	for _, path := range p.logs {
		if more, err := os.ReadFile(path); err == nil {
			text += string(more)
		}
	}
	return text
}

// answers waits until a TCP port greets.
func (p *Process) answers(t testing.TB, address string) *Process {
	t.Helper()
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		if greets(address) {
			return p
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended at once:\n%s", p.name, p.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not answer on %s:\n%s", p.name, address, p.Log())
	return nil
}

// greets reports whether somebody answers with a greeting, and takes leave.
func greets(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	first := make([]byte, 3)
	if _, err := conn.Read(first); err != nil || string(first) != "220" {
		return false
	}
	fmt.Fprint(conn, "QUIT\r\n")
	return true
}

// ids looks up a user's numbers.
func ids(t testing.TB, name string) (uid, gid uint32) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		unavailable(t, fmt.Sprintf("there is no user %s; run test/prepare.sh peers", name))
	}
	n, errUID := strconv.ParseUint(u.Uid, 10, 32)
	g, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if errUID != nil || errGID != nil {
		t.Fatalf("user %s has the numbers %s and %s", name, u.Uid, u.Gid)
	}
	return uint32(n), uint32(g)
}

// own gives files to a user.
func own(t testing.TB, name string, paths ...string) {
	t.Helper()
	uid, gid := ids(t, name)
	for _, path := range paths {
		if err := os.Chown(path, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// FreePort returns a TCP port that is free on every given address. It stays free unless somebody else takes it.
func FreePort(t testing.TB, ips ...string) int {
	t.Helper()
search:
	for range 100 {
		first, err := net.Listen("tcp", net.JoinHostPort(ips[0], "0"))
		if err != nil {
			t.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		first.Close()
		for _, ip := range ips[1:] {
			l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
			if err != nil {
				continue search
			}
			l.Close()
		}
		return port
	}
	t.Fatalf("no port is free on all of %v", ips)
	return 0
}

// lockedBuffer is a bytes.Buffer for a writer and readers at the same time.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns everything written.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
