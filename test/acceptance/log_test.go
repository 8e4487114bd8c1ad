package acceptance

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/test/harness"
)

// unread starts a gateway that logs into a pipe, whose reading end is returned, with room for few lines.
func unread(t *testing.T) (*world, *os.File) {
	w := newWorld(t)
	r, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	w.LogTo = to
	w.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(t))
	w.Settings["log.memory"] = "65536"
	w.Start("")
	_ = to.Close() // the gateway has its own
	return w, r
}

// pass sends messages to our own server and waits until it has them all.
func pass(w *world, what string, n int) {
	w.T.Helper()
	c := w.Connect("")
	defer c.Conn.Close()
	c.Say("EHLO mail.home.test", "250")
	for i := range n {
		c.Transaction("ann@home.test", []string{"bea@home.test"}, harness.Message("ann@home.test", []string{"bea@home.test"}, fmt.Sprintf("%s %d", what, i)))
	}
	harness.Eventually(w.T, 3*harness.Patience, what+" arrives", func() bool { return len(harness.Bodies(w.Home(), "\r\n"+what+" ")) >= n })
}

var lostLine = regexp.MustCompile(`msg=lost lines=(\d+) from=\S+ until=\S+ text="(\d+) lines of this log were lost`)

// TestMailPassesThoughNobodyReadsTheLog: 64 KiB fit into the pipe, as many wait in memory; the rest is lost, and the
// log says so when it is read again.
func TestMailPassesThoughNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	w, r := unread(t)
	pass(w, "unread", 1500) // some 700 bytes of log each
	lost := regexp.MustCompile(`(?m)^postern_log_lines_lost_total ([1-9]\d*)$`)
	if metrics := w.Get("/metrics", 200); !lost.MatchString(metrics) {
		t.Error("no metric says that lines were lost")
	}

	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if lostLine.MatchString(lines.Text()) {
				found <- lines.Text()
				break
			}
		}
		for lines.Scan() { // until the gateway ends
		}
	}()
	select {
	case line := <-found:
		if line == "" {
			t.Fatal("the log ended without a word about lines that were lost")
		}
	case <-time.After(harness.Patience):
		t.Fatal("the log was read, and says nothing about lines that were lost")
	}
	pass(w, "read", 10)
}

// TestALogThatNobodyReadsDoesNotKeepTheProcess: it stops in order, and dies of a bug, though its last words find no
// reader.
func TestALogThatNobodyReadsDoesNotKeepTheProcess(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"an orderly stop": syscall.SIGTERM, "a crash of the runtime": syscall.SIGQUIT} {
		t.Run(name, func(t *testing.T) {
			w, _ := unread(t)
			pass(w, "unread", 500)
			w.Signal(signal)
			select {
			case <-w.Process.Ended:
			case <-time.After(harness.Patience):
				t.Error("it goes on")
			}
		})
	}
}

func TestALogWhoseReaderIsGoneDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	w, r := unread(t)
	pass(w, "before", 5)
	_ = r.Close()
	pass(w, "after", 20)
	if metrics := w.Get("/metrics", 200); !strings.Contains(metrics, "postern_log_lines_lost_total ") {
		t.Error("no metric of lost lines")
	}
}
