package harness

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one run of `postern serve`, or of something that runs it: see World.Under.
type Process struct {
	// Cmd is the process that was started; its state is there when Ended is closed.
	Cmd *exec.Cmd
	// Ended is closed when the process has ended and was waited for.
	Ended chan struct{}
}

// Config is the configuration file as it stands in settings and more.
func (w *World) Config() string {
	sections := map[string][]string{}
	for key, value := range w.Settings {
		section, name, ok := strings.Cut(key, ".")
		if !ok {
			section, name = "", key
		}
		sections[section] = append(sections[section], name+" = "+value)
	}
	order := make([]string, 0, len(sections))
	for name := range sections {
		order = append(order, name)
	}
	slices.Sort(order) // the keys without a section first
	var b strings.Builder
	for _, name := range order {
		if name != "" {
			fmt.Fprintf(&b, "\n[%s]\n", name)
		}
		slices.Sort(sections[name])
		b.WriteString(strings.Join(sections[name], "\n") + "\n")
	}
	fmt.Fprintf(&b, "\n[[listen]]\nname = \"world\"\naddress = %q\n", w.Addr)
	return b.String() + "\n" + strings.Join(w.More, "\n")
}

// ConfigFile is the path of the configuration.
func (w *World) ConfigFile() string { return filepath.Join(w.Dir, "postern.toml") }

// LogFile is the path of what the gateway says, over restarts.
func (w *World) LogFile() string { return filepath.Join(w.Dir, "postern.log") }

// Log is everything the gateway has logged so far, over restarts.
func (w *World) Log() string {
	text, err := os.ReadFile(w.LogFile())
	if err != nil {
		w.T.Fatal(err)
	}
	return string(text)
}

// Start writes the configuration and runs the gateway until the end of the test, with rules in force.
func (w *World) Start(rules string) {
	w.T.Helper()
	w.Configure()
	w.Serve()
	w.T.Cleanup(func() {
		w.Stop()
		if w.T.Failed() {
			w.T.Logf("the gateway's log:\n%s", w.Log())
		}
	})
	if rules != "" {
		w.Apply(rules)
	}
}

// Configure writes the configuration.
func (w *World) Configure() {
	w.T.Helper()
	w.Settings["delivery.port"] = strconv.Itoa(w.Port)
	w.Write("postern.toml", []byte(w.Config()))
}

// Launch starts the process without waiting for it to work. What still runs when the test is over is killed.
func (w *World) Launch() *Process {
	w.T.Helper()
	log, err := os.OpenFile(w.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.T.Fatal(err)
	}
	defer log.Close()
	argv := append(slices.Clone(w.Under), cmp.Or(w.Program, binary), "serve", "--config", w.ConfigFile())
	p := &Process{Cmd: exec.Command(argv[0], argv[1:]...), Ended: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr = log, log
	if w.LogTo != nil {
		p.Cmd.Stdout, p.Cmd.Stderr = w.LogTo, w.LogTo
	}
	if err := p.Cmd.Start(); err != nil {
		w.T.Fatal(err)
	}
	go func() {
		_ = p.Cmd.Wait() // the exit code is in ProcessState
		close(p.Ended)
	}()
	w.T.Cleanup(func() {
		_ = p.Cmd.Process.Kill() // it may have ended
		<-p.Ended
	})
	return p
}

// Serve starts the gateway and waits until it takes mail.
func (w *World) Serve() {
	w.T.Helper()
	if !w.Serves() {
		w.T.Fatalf("the gateway ended at once:\n%s", w.Log())
	}
}

// Serves starts the gateway and waits until it takes mail, or has ended because it cannot work with what it found.
func (w *World) Serves() (yes bool) {
	w.T.Helper()
	w.Process = w.Launch()
	Eventually(w.T, Patience, "the gateway answers", func() bool {
		select {
		case <-w.Process.Ended:
			return true
		default:
		}
		conn, err := net.Dial("tcp", w.Addr)
		if err != nil {
			return false
		}
		defer conn.Close()
		// The port is open before anybody serves it: wait for the first word.
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		n, _ := conn.Read(make([]byte, 1))
		yes = n > 0
		return yes
	})
	return yes
}

// Signal sends a signal to the process that was started.
func (w *World) Signal(s os.Signal) { _ = w.Process.Cmd.Process.Signal(s) } // it may have ended

// Stop ends the gateway as systemd does; nothing when it is not running.
func (w *World) Stop() {
	w.T.Helper()
	w.Signal(syscall.SIGTERM)
	select {
	case <-w.Process.Ended:
	case <-time.After(Patience):
		w.T.Errorf("the gateway did not stop within %v", Patience)
		w.Kill()
	}
}

// Kill is the power cut.
func (w *World) Kill() {
	w.Signal(syscall.SIGKILL)
	<-w.Process.Ended
}

// Restart stops the gateway in order and starts it.
func (w *World) Restart() {
	w.T.Helper()
	w.Stop()
	w.Serve()
}

// Answer is what a verb said.
type Answer struct {
	Stdout, Stderr string
	Code           int
}

// verbTime is how long a verb may take, which may have dozens of servers to look at.
const verbTime = 6 * Patience

// Run runs a verb as a user would.
func (w *World) Run(stdin string, args ...string) Answer {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), verbTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, cmp.Or(w.Program, binary), args...)
	cmd.Env = append(os.Environ(), "POSTERN_CONFIG="+w.ConfigFile())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // a verb that hangs says where
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.T.Fatalf("postern %s: %v", strings.Join(args, " "), err)
	}
	return Answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Postern runs a verb that must succeed and returns what it printed.
func (w *World) Postern(args ...string) string {
	w.T.Helper()
	a := w.Run("", args...)
	if a.Code != 0 {
		w.T.Fatalf("postern %s: exit code %d\n%s%s", strings.Join(args, " "), a.Code, a.Stdout, a.Stderr)
	}
	return a.Stdout
}

// Apply puts rules in force.
func (w *World) Apply(rules string) {
	w.T.Helper()
	w.Postern("rules", "apply", w.Write("rules.toml", []byte(rules)))
}

// Get asks the admin listener.
func (w *World) Get(path string, status int) string {
	w.T.Helper()
	address := strings.Trim(w.Settings["admin.listen"], `"`)
	Answer, err := http.Get("http://" + address + path)
	if err != nil {
		w.T.Fatal(err)
	}
	defer Answer.Body.Close()
	body, err := io.ReadAll(Answer.Body)
	if err != nil || Answer.StatusCode != status {
		w.T.Fatalf("%s: %s, %v\n%s", path, Answer.Status, err, body)
	}
	return string(body)
}
