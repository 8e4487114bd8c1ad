package endurance

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // makes data folders of other releases
)

// Whatever its clients do, the gateway has stopped when the drain time is over, and a transaction that ends in time is
// not cut.
func TestSIGTERMDrainsWithinItsTime(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	s.delay.Store(int64(time.Minute)) // a transfer that takes too long as well
	g := newGateway(t, s.addr())
	g.settings["limits.drain_time"] = `"3s"`
	g.start()
	if err := g.send("stuck.", "x", "bob@shop.test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "a transfer is under way", func() bool { return s.open.Load() > 0 })
	open := func(lines ...string) *client {
		c, err := dial(g.addr, "")
		if err == nil {
			err = c.say(append([]string{"EHLO far.test 250"}, lines...)...)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	begun := []string{"MAIL FROM:<a@far.test> 250", "RCPT TO:<bob@shop.test> 250"}
	inContent := append(begun, "DATA 354")
	idle, slow, dripping, ending := open(), open(begun...), open(inContent...), open(inContent...)
	go func() {
		for range 600 { // never ends by itself
			if _, err := io.WriteString(dripping, "x"); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	time.AfterFunc(time.Second, func() { fmt.Fprint(ending, "Subject: ending.\r\n\r\nx\r\n.\r\n") })
	stopped := make(chan time.Duration)
	go func() { stopped <- g.stop() }()
	if err := idle.wants("421"); err != nil {
		t.Error(err)
	}
	if err := ending.wants("250"); err != nil {
		t.Errorf("a transaction that ended in time: %v", err)
	}
	if c, err := net.Dial("tcp", g.addr); err == nil {
		t.Error("a new connection is taken")
		c.Close()
	}
	if took := <-stopped; took > 3*time.Second+5*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for name, c := range map[string]*client{"slow": slow, "dripping": dripping} {
		if reply, err := c.reply(); err == nil && !strings.HasPrefix(reply, "421") {
			t.Errorf("%s heard %q", name, reply)
		}
	}
	s.delay.Store(0)
	g.launch()
	g.ready()
	s.arrived(t, []string{"stuck.", "ending."}, patience, 1)
}

// With sockets that systemd keeps, a restart under load refuses no connection, loses nothing, and sends nothing twice
// but what was under way. Clients that come while no gateway runs wait in the socket.
func TestARestartUnderLoadRefusesNoConnection(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	l := listen(t).(*net.TCPListener)
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	g := newGateway(t, s.addr())
	g.addr = l.Addr().String()
	g.extra, g.env = []*os.File{file}, []string{"LISTEN_FDS=1"}
	g.settings["limits.connections_per_client"] = "1000"
	g.start()
	load := begin(g.addr, 6, 5, strings.Repeat("x", 2000))
	restarts := either(3, 30)
	for range restarts {
		before := load.count()
		eventually(t, patience, "messages are taken", func() bool { return load.count() > before+20 })
		g.stop()
		time.Sleep(200 * time.Millisecond) // connections queue up in the socket
		g.launch()
		g.ready()
	}
	before := load.count()
	eventually(t, patience, "messages are taken after the last restart", func() bool { return load.count() > before+20 })
	accepted, errs := load.end()
	cut := 0
	for _, err := range errs {
		switch {
		case strings.HasPrefix(err.Error(), "connect:") && !strings.Contains(err.Error(), "421"):
			t.Errorf("a connection was refused: %v", err)
		case strings.Contains(err.Error(), "421"), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
			cut++ // between two messages, with 421; the client tries again
		default:
			t.Errorf("unexpected: %v", err)
		}
	}
	t.Logf("%d messages over %d restarts; %d sessions were ended between messages", len(accepted), restarts, cut)
	const transfers = 5 // connections to one site
	s.arrived(t, accepted, patience, restarts*transfers)
}

// folderOfForm1 makes a data folder as the first release left it.
func folderOfForm1(t *testing.T, g *gateway, more string) {
	t.Helper()
	script, err := os.ReadFile("../../internal/queue/sqlstore/testdata/form1.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(g.path("data/spool"), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", g.path("data/queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// The fixture's rules are no rules; what a release stored had passed its parser.
	text := strings.ReplaceAll(string(script), "'[[rule]]", "'[[rule]]\nname = \"clinic\"\nscope = \"outbound\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"b.test\"]")
	if _, err := db.Exec("PRAGMA journal_mode=WAL;" + text + more); err != nil {
		t.Fatal(err)
	}
	g.write(filepath.Join("data", "spool", "fz7p66zuw3j2rasl32ofda4uxs.body"), []byte(strings.Repeat("l", 70000)))
}

// A folder that an older release wrote is opened: its waiting mail is still there, its records and rules too.
func TestAnOlderDataFolderIsOpened(t *testing.T) {
	t.Parallel()
	g := newGateway(t, freeAddress(t)) // nobody listens: mail waits
	g.settings["queue.retention"] = `"87600h"`
	folderOfForm1(t, g, "")
	g.start()
	out, code := g.postern("trace", "--json")
	if code != 0 || strings.Count(out, "a@b.test") < 3 || !strings.Contains(out, `"delivered"`) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if out, code := g.postern("rules", "list"); code != 0 || out == "" {
		t.Errorf("the rules: exit code %d:\n%s", code, out)
	}
	if err := g.send("new.", "x", "bob@shop.test"); err != nil {
		t.Errorf("new mail: %v", err)
	}
	g.stop()
	g.launch() // and once more, now that it has the present form
	g.ready()
}

// A folder that a newer release wrote is refused, with what to do, and left as it is.
func TestANewerDataFolderIsRefused(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "")
	folderOfForm1(t, g, "; PRAGMA user_version=99")
	before, err := os.ReadFile(g.path("data/queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	g.configure()
	g.launch()
	if code := g.exit(); code != 3 {
		t.Errorf("exit code %d", code)
	}
	if log := g.log(); !strings.Contains(log, "newer") || !strings.Contains(log, "install the release that wrote it") {
		t.Errorf("the error is not clear:\n%s", log)
	}
	after, err := os.ReadFile(g.path("data/queue.db"))
	if err != nil || string(before) != string(after) {
		t.Errorf("the database was changed (%v)", err)
	}
}
