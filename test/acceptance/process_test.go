package acceptance

import (
	"bytes"
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

// process is one run of `postern serve`.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// config is the configuration file as it stands in settings and more.
func (w *world) config() string {
	sections := map[string][]string{}
	for key, value := range w.settings {
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
	fmt.Fprintf(&b, "\n[[listen]]\nname = \"world\"\naddress = %q\n", w.addr)
	return b.String() + "\n" + strings.Join(w.more, "\n")
}

func (w *world) configFile() string { return filepath.Join(w.dir, "postern.toml") }

func (w *world) logFile() string { return filepath.Join(w.dir, "postern.log") }

// log is everything the gateway has logged so far, over restarts.
func (w *world) log() string {
	text, err := os.ReadFile(w.logFile())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// start writes the configuration and runs the gateway until the end of the test, with rules in force.
func (w *world) start(rules string) {
	w.t.Helper()
	w.configure()
	w.serve()
	w.t.Cleanup(func() {
		w.stop()
		if w.t.Failed() {
			w.t.Logf("the gateway's log:\n%s", w.log())
		}
	})
	if rules != "" {
		w.apply(rules)
	}
}

// configure writes the configuration.
func (w *world) configure() {
	w.t.Helper()
	w.settings["delivery.port"] = strconv.Itoa(w.port)
	w.write("postern.toml", []byte(w.config()))
}

// launch starts the process without waiting for it to work.
func (w *world) launch() *process {
	w.t.Helper()
	log, err := os.OpenFile(w.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	p := &process{cmd: exec.Command(binary, "serve", "--config", w.configFile()), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.ended)
	}()
	return p
}

// serve starts the gateway and waits until it takes mail.
func (w *world) serve() {
	w.t.Helper()
	w.process = w.launch()
	eventually(w.t, patience, "the gateway answers", func() bool {
		select {
		case <-w.process.ended:
			w.t.Fatalf("the gateway ended at once:\n%s", w.log())
		default:
		}
		conn, err := net.Dial("tcp", w.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (w *world) signal(s os.Signal) { _ = w.process.cmd.Process.Signal(s) } // it may have ended

// stop ends the gateway as systemd does; nothing when it is not running.
func (w *world) stop() {
	w.t.Helper()
	w.signal(syscall.SIGTERM)
	select {
	case <-w.process.ended:
	case <-time.After(patience):
		w.t.Errorf("the gateway did not stop within %v", patience)
		w.kill()
	}
}

// kill is the power cut.
func (w *world) kill() {
	w.signal(syscall.SIGKILL)
	<-w.process.ended
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.serve()
}

// answer is what a verb said.
type answer struct {
	stdout, stderr string
	code           int
}

// verbTime is how long a verb may take, which may have dozens of servers to look at.
const verbTime = 6 * patience

// run runs a verb as a user would.
func (w *world) run(stdin string, args ...string) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), verbTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "POSTERN_CONFIG="+w.configFile())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // a verb that hangs says where
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("postern %s: %v", strings.Join(args, " "), err)
	}
	return answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// postern runs a verb that must succeed and returns what it printed.
func (w *world) postern(args ...string) string {
	w.t.Helper()
	a := w.run("", args...)
	if a.code != 0 {
		w.t.Fatalf("postern %s: exit code %d\n%s%s", strings.Join(args, " "), a.code, a.stdout, a.stderr)
	}
	return a.stdout
}

// apply puts rules in force.
func (w *world) apply(rules string) {
	w.t.Helper()
	w.postern("rules", "apply", w.write("rules.toml", []byte(rules)))
}

// get asks the admin listener.
func (w *world) get(path string, status int) string {
	w.t.Helper()
	address := strings.Trim(w.settings["admin.listen"], `"`)
	answer, err := http.Get("http://" + address + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		w.t.Fatalf("%s: %s, %v\n%s", path, answer.Status, err, body)
	}
	return string(body)
}
