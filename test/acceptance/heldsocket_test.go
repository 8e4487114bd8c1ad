package acceptance

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"postern/test/harness"
)

// TestASocketOfSystemdInTheWayIsNamed: systemd has every address of the port open, and the listener names one. Closing
// what was handed over frees nothing there, so the start fails by that socket's name, with what the unit should say.
func TestASocketOfSystemdInTheWayIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host, _, err := net.SplitHostPort(w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	w.Addr = net.JoinHostPort(host, port)
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w.Configure()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve --config "$1"`, harness.Binary(), w.ConfigFile())
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=postern.socket"), []*os.File{f}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 78 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, part := range []string{"systemd holds a socket at 0.0.0.0:" + port + " (postern.socket)", "ListenStream=" + w.Addr} {
		if !strings.Contains(string(out), part) {
			t.Errorf("it does not say %q:\n%s", part, out)
		}
	}
}
