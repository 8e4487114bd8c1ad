package endurance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd is many clients that have begun to send a message and do not end it.
type crowd struct {
	mu     sync.Mutex
	in     []*client
	marks  []string
	turned map[string]int // first words of what the others heard
}

// gather has n clients from n/40 networks connect, with TLS or not as secure says for each, and send size bytes of a
// message. A third of the content is header.
func gather(g *gateway, n, size int, secure func(i int) bool) *crowd {
	c := &crowd{turned: map[string]int{}}
	line := strings.Repeat("y", 76) + "\r\n"
	content := strings.Repeat("X-Filler: "+line, size/3/88) + "\r\n" + strings.Repeat(line, size/3*2/78)
	attack(n, 40, func(i int) {
		mark := fmt.Sprintf("held%d.", i)
		one, err := enter(g.addr, fmt.Sprintf("127.3.%d.%d", i/40/200, 1+i/40%200), secure(i))
		if err == nil {
			if err = one.say("MAIL FROM:<a@far.test> 250", "RCPT TO:<bob@shop.test> 250", "DATA 354"); err == nil {
				_, err = fmt.Fprintf(one, "Subject: %s\r\n%s", mark, content)
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			c.in, c.marks = append(c.in, one), append(c.marks, mark)
			return
		}
		text := err.Error()
		if _, reply, ok := strings.Cut(text, `reply "`); ok {
			text = reply[:min(9, len(reply))]
		}
		c.turned[text]++
	})
	return c
}

// enter connects, and says EHLO, after STARTTLS where that is wanted.
func enter(addr, from string, secure bool) (*client, error) {
	c, err := dial(addr, from)
	if err != nil || !secure {
		if err == nil {
			err = c.say("EHLO c.test 250")
		}
		return c, err
	}
	if err := c.say("EHLO c.test 250", "STARTTLS 220"); err != nil {
		return nil, err
	}
	tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true}) // the largest records
	_ = tc.SetDeadline(time.Now().Add(patience))                                                       // shows in the handshake
	if err := tc.Handshake(); err != nil {
		return nil, err
	}
	c = &client{tc, bufio.NewReader(tc)}
	return c, c.say("EHLO c.test 250")
}

// end has every client end its message and returns the marks of those that were accepted; other answers are errors.
func (c *crowd) end(t *testing.T) (accepted []string) {
	var mu sync.Mutex
	attack(len(c.in), 40, func(i int) {
		one, mark := c.in[i-1], c.marks[i-1]
		_ = one.SetDeadline(time.Now().Add(patience)) // shows below
		_, err := io.WriteString(one, "\r\n.\r\n")
		reply := ""
		if err == nil {
			reply, err = one.reply()
		}
		one.Close()
		switch {
		case err != nil:
			t.Errorf("a client that was in: %v", err)
		case strings.HasPrefix(reply, "250"):
			mu.Lock()
			accepted = append(accepted, mark)
			mu.Unlock()
		case !strings.HasPrefix(reply, "45"):
			t.Errorf("a client that was in heard %q", reply)
		}
	})
	return accepted
}

// bound is what `postern config check` says that everything may cost at most, in bytes.
func (g *gateway) bound() int64 {
	g.t.Helper()
	out, code := g.postern("config", "check")
	_, rest, ok := strings.Cut(out, "memory: at most ")
	number, _, _ := strings.Cut(rest, " MiB")
	mib, err := strconv.ParseInt(number, 10, 64)
	if code != 0 || !ok || err != nil {
		g.t.Fatalf("config check does not say what the limits cost:\n%s", out)
	}
	return mib << 20
}

// Thousands of sessions in the middle of their content, with TLS and without, stay within what the configuration says
// that they can cost.
func TestManySessionsCostWhatThePlanSays(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newSink(t)
		g := newGateway(t, s.addr())
		n := either(1500, 9000)
		g.settings["limits.connections"] = fmt.Sprint(n * 3 / 2) // the last third is for clients that have no connection
		g.settings["limits.content_memory"] = "16777216"
		g.settings["queue.memory"] = "8388608"
		g.start()
		began := g.resident()
		c := gather(g, n, 48<<10, func(int) bool { return secure })
		time.Sleep(time.Second)
		resident, bound := g.resident(), g.bound()
		t.Logf("TLS is %v: %d sessions in DATA, %d MiB resident, %d KiB each; at most %d MiB are said", secure, len(c.in), resident>>20,
			(resident-began)>>10/int64(max(len(c.in), 1)), bound>>20)
		if resident > bound {
			t.Errorf("TLS is %v: %d MiB are resident, and the configuration says %d MiB", secure, resident>>20, bound>>20)
		}
		if len(c.in) < n*9/10 {
			t.Errorf("%d of %d clients are in, the others heard %v", len(c.in), n, c.turned)
		}
		c.end(t)
		g.stop()
	}
}

// small puts the gateway into a control group of so many bytes, and returns how often the group ran out of memory.
// Where no group can be made the Go runtime is told instead, and what is resident is all that is held against the
// bound.
func (g *gateway) small(bytes int64) (killed func() int) {
	g.t.Helper()
	for _, kind := range []struct{ top, limit, events string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"},
		{"/sys/fs/cgroup", "memory.max", "memory.events"},
	} {
		dir := filepath.Join(kind.top, fmt.Sprintf("postern-test-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		g.t.Cleanup(func() {
			eventually(g.t, patience, "the control group can be removed", func() bool { return os.Remove(dir) == nil || os.IsNotExist(os.Remove(dir)) })
		})
		if os.WriteFile(filepath.Join(dir, kind.limit), []byte(fmt.Sprint(bytes)), 0o644) != nil {
			continue
		}
		g.first = "echo $$ > " + filepath.Join(dir, "cgroup.procs") + " && "
		g.t.Logf("a control group of %d MiB: %s", bytes>>20, dir)
		return func() int { return number(g.t, filepath.Join(dir, kind.events), "oom_kill ") }
	}
	g.t.Logf("NO CONTROL GROUP CAN BE MADE HERE: GOMEMLIMIT stands for it, and only what is resident is looked at")
	g.env = append(g.env, fmt.Sprintf("GOMEMLIMIT=%d", bytes/10*9))
	return func() int { return 0 }
}

// number reads the number behind a word in a file.
func number(t *testing.T, file, word string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(word))
	digits, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		t.Fatalf("%s: %v in\n%s", file, err, text)
	}
	return n
}

// In 200 MiB ten thousand clients come and stay in the middle of a message. As many are in as there is memory for, the
// others hear 421, an honest client is served meanwhile, whoever was in sends its message to the end, and nothing that
// was accepted is lost.
func TestTenThousandConnectionsInTwoHundredMiB(t *testing.T) {
	const group = 200 << 20
	s := newSink(t)
	g := newGateway(t, s.addr())
	killed := g.small(group)
	g.settings["limits.data_timeout"] = `"10m"`
	g.start()
	began := time.Now()
	c := gather(g, 10_000, 24<<10, func(i int) bool { return i%2 == 0 })
	t.Logf("after %v %d are in, %d MiB resident; the others heard %v", time.Since(began).Round(time.Second), len(c.in), g.resident()>>20, c.turned)
	if !g.running() || killed() > 0 {
		t.Fatalf("the gateway was killed:\n%s", tail(g.log(), 2000))
	}
	refused := 0
	for text, n := range c.turned {
		if !strings.HasPrefix(text, "421 4.") {
			t.Errorf("%d clients were turned away with %q", n, text)
		}
		refused += n
	}
	if len(c.in) < 200 || refused < 5000 {
		t.Errorf("%d are in and %d were turned away", len(c.in), refused)
	}
	if rss := g.resident(); rss > group {
		t.Errorf("%d MiB are resident", rss>>20)
	}
	g.honest(s)
	accepted := c.end(t)
	t.Logf("%d of %d held messages were accepted", len(accepted), len(c.in))
	if len(accepted) < len(c.in)*9/10 {
		t.Errorf("only %d of %d held messages were accepted", len(accepted), len(c.in))
	}
	s.arrived(t, append(accepted, "honest."), 4*patience, 0)
	if killed() > 0 {
		t.Error("something in the group was killed")
	}
}

// honest sends a message from an address of its own, as a mail server does: it comes again when it is told to.
func (g *gateway) honest(s *sink) {
	g.t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Second) {
		c, err := enter(g.addr, "127.9.9.9", true)
		if err == nil {
			err = c.message("honest.", strings.Repeat(strings.Repeat("z", 76)+"\r\n", 4000), "bob@shop.test")
			c.Close()
		}
		if last = err; err == nil {
			return
		}
	}
	g.t.Errorf("an honest client was not served: %v", last)
}
