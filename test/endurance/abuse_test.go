package endurance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// attack runs f n times, some at a time.
func attack(n, parallel int, f func(i int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range parallel {
		group.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				f(int(i))
			}
		})
	}
	group.Wait()
}

// sound checks that an honest client is served in a moment and that the gateway is no larger than it may be.
func (g *gateway) sound(s *sink, mark string, most int64) {
	g.t.Helper()
	if !g.running() {
		g.t.Fatal("the gateway ended")
	}
	began := time.Now()
	if err := g.send(mark, "x", "bob@shop.test"); err != nil {
		g.t.Errorf("an honest client: %v", err)
	} else if took := time.Since(began); took > 10*time.Second {
		g.t.Errorf("an honest client waited %v", took)
	}
	s.arrived(g.t, []string{mark}, patience, 0)
	if rss := g.resident(); rss > most {
		g.t.Errorf("%d MiB are resident, at most %d may be", rss>>20, most>>20)
	}
}

// Many connections from one address: so many are served as one client may have, the others hear 421 and cost nothing.
func TestThousandsOfConnectionsFromOneAddress(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	g.start()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}, Timeout: patience}
	var served, turned, other atomic.Int64
	var mu sync.Mutex
	var open []net.Conn
	defer func() {
		for _, nc := range open {
			nc.Close()
		}
	}()
	attack(either(2000, 10_000), 50, func(int) {
		nc, err := from.Dial("tcp", g.addr)
		if err != nil {
			other.Add(1)
			return
		}
		_ = nc.SetReadDeadline(time.Now().Add(patience)) // shows at the read
		line, _ := bufio.NewReader(nc).ReadString('\n')
		switch {
		case strings.HasPrefix(line, "220 "):
			served.Add(1)
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			return
		case strings.HasPrefix(line, "421 4.7.0 "):
			turned.Add(1)
		default:
			other.Add(1)
		}
		nc.Close()
	})
	t.Logf("%d served, %d turned away, %d otherwise", served.Load(), turned.Load(), other.Load())
	if served.Load() != 100 || other.Load() > 0 {
		t.Errorf("%d of one address were served, 100 may be; %d were neither served nor told 421", served.Load(), other.Load())
	}
	g.sound(s, "honest.", 100<<20)
}

// Bad commands by the million, pipelined: each session ends after its share.
func TestBadCommandsWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	g.start()
	const each = 2000
	flood := bytes.Repeat([]byte("FOO BAR\r\n"), each)
	attack(either(50_000, 1_000_000)/each, 8, func(int) {
		nc, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		go nc.Write(flood) // cut when the session ends
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		text, _ := io.ReadAll(nc)
		if n := bytes.Count(text, []byte("\r\n500 ")); n > 21 {
			t.Errorf("%d bad commands were answered in one session", n)
		}
	})
	g.sound(s, "honest.", 100<<20)
}

// A flood of commands whose replies are never read: the gateway does not gather them.
func TestFloodsOfPipelinedCommands(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	g.start()
	for name, piece := range map[string]string{
		"NOOP": "NOOP\r\n", "RSET": "RSET\r\n", "EHLO": "EHLO c.test\r\n", "VRFY": "VRFY x\r\n", "transactions": "MAIL FROM:<a@c.test>\r\nRSET\r\n",
		"recipients": "MAIL FROM:<a@c.test>\r\nRCPT TO:<bob@shop.test>\r\n", "empty": "\r\n", "no line": strings.Repeat("x", 100),
		"empty messages": "MAIL FROM:<a@c.test>\r\nRCPT TO:<x@y.test>\r\nDATA\r\n.\r\n",
	} {
		nc, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprint(nc, "EHLO c.test\r\n")
		flood := []byte(strings.Repeat(piece, 64<<10/len(piece)+1))
		_ = nc.SetWriteDeadline(time.Now().Add(either(time.Second, 10*time.Second)))
		total := 0
		for total < 64<<20 {
			n, err := nc.Write(flood)
			total += n
			if err != nil {
				break // cut, or it does not take more
			}
		}
		t.Logf("%s: %d octets went", name, total)
	}
	g.sound(s, "honest.", 150<<20)
}

// Messages made to be costly go on as they are or are refused, in a moment.
func TestMessagesMadeToBeCostly(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	g.start()
	nested := func(depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		return b.String()
	}
	for name, content := range map[string]string{
		"deep parts":        "Subject: deep.\r\n" + nested(100_000),
		"deep messages":     "Subject: deep-messages.\r\n" + strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 100_000),
		"a million parts":   "Subject: parts.\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 1_000_000),
		"many header lines": "Subject: many.\r\n" + strings.Repeat("X: y\r\n", 1_000_000),
		"one long header":   "Subject: long.\r\nX: " + strings.Repeat("y", 50_000_000) + "\r\n",
		"a folded header":   "Subject: folded.\r\nX:\r\n" + strings.Repeat(" y\r\n", 1_000_000),
		"encoded words":     "Subject: words.\r\nTo: " + strings.Repeat("=?utf-8?q?=61?= ", 10_000) + "\r\n",
		"many addresses":    "Subject: addresses.\r\nTo: " + strings.Repeat("<a@b.test>, ", 15_000) + "\r\n",
		"no line end":       "Subject: line.\r\n\r\n" + strings.Repeat("x", 10_000_000),
		"many Received":     strings.Repeat("Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n", 5_000),
	} {
		began := time.Now()
		c, err := dial(g.addr, "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.say("EHLO c.test 250", "MAIL FROM:<a@far.test> 250", "RCPT TO:<bob@shop.test> 250", "DATA 354"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, content+"\r\n.\r\n") // cut, perhaps
		reply, err := c.reply()
		if err != nil || !strings.HasPrefix(reply, "250") && !strings.HasPrefix(reply, "5") {
			t.Errorf("%s: %q, %v", name, reply, err)
		}
		t.Logf("%s: %.60q in %v", name, reply, time.Since(began).Round(time.Millisecond))
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	g.sound(s, "honest.", 200<<20)
}

// Many clients that send content slowly, with headers as large as they may be: what they hold together is bounded by
// limits.content_memory. (Each could hold 400 KiB once, 160 MiB in all.)
func TestSlowContentHoldsBoundedMemory(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	g.settings["limits.content_memory"] = "8388608"
	g.start()
	clients := either(400, 4000)
	honest := g.resident()
	header := strings.Repeat("X-Filler: "+strings.Repeat("y", 988)+"\r\n", 240)
	var refused atomic.Int64
	var mu sync.Mutex
	var open []net.Conn
	defer func() {
		for _, nc := range open {
			nc.Close()
		}
	}()
	attack(clients, 20, func(i int) {
		c, err := dial(g.addr, fmt.Sprintf("127.0.1.%d", 1+i/80))
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		open = append(open, c)
		mu.Unlock()
		if err := c.say("EHLO c.test 250", "MAIL FROM:<a@far.test> 250", "RCPT TO:<bob@shop.test> 250", "DATA 354"); err != nil {
			t.Error(err)
			return
		}
		content := "Subject: slow.\r\n" + header // half of them have it in the header, half in the body
		if i%2 == 0 {
			content = "Subject: slow.\r\n\r\n" + header
		}
		if _, err := io.WriteString(c, content); err != nil {
			refused.Add(1)
		}
	})
	time.Sleep(time.Second)
	grown := g.resident() - honest
	t.Logf("%d clients hold %d MiB, %d KiB each", clients, grown>>20, grown>>10/int64(clients))
	if most := int64(40<<20) + int64(clients)*48<<10; grown > most {
		t.Errorf("memory grew by %d MiB, at most %d may be", grown>>20, most>>20)
	}
	g.sound(s, "honest.", 1<<30)
}

// A client network that guesses passwords is stopped across connections; others log in.
func TestPasswordsAreNotGuessedOverManyConnections(t *testing.T) {
	t.Parallel()
	g := newGateway(t, newSink(t).addr())
	g.settings["relay.networks"] = `["127.0.0.1/32"]`
	g.settings["limits.login_failures"] = "6"
	hash, code := g.hash("right")
	if code != 0 {
		t.Fatal(hash)
	}
	submission := freeAddress(t)
	g.more = append(g.more, fmt.Sprintf("[[listen]]\naddress = %q\nmode = \"smtps\"\nauth = true\n[[user]]\nname = \"mail\"\npassword_hash = '%s'\n", submission, hash))
	g.start()
	answers := map[string]int{}
	login := func(from, response string) string {
		d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}, Config: &tls.Config{InsecureSkipVerify: true}}
		nc, err := d.Dial("tcp", submission)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := &client{nc, bufio.NewReader(nc)}
		if err := c.wants("220"); err != nil {
			t.Fatal(err)
		}
		if err := c.say("EHLO c.test 250"); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(nc, "AUTH PLAIN %s\r\n", response)
		reply, err := c.reply()
		if err != nil {
			t.Fatal(err)
		}
		return reply[:9]
	}
	const right, wrong = "AG1haWwAcmlnaHQ=", "AG1haWwAd3Jvbmc="
	if got := login("127.0.0.8", right); got != "235 2.7.0" {
		t.Errorf("the owner from his network: %s", got)
	}
	for range 10 {
		answers[login("127.0.0.9", wrong)]++
	}
	if answers["535 5.7.8"] != 6 || answers["454 4.7.0"] != 4 {
		t.Errorf("ten guesses: %v", answers)
	}
	if got := login("127.0.0.9", right); got != "454 4.7.0" {
		t.Errorf("the right password among guesses: %s", got)
	}
	for _, from := range []string{"127.0.0.8", "127.0.0.10"} {
		if got := login(from, right); got != "235 2.7.0" {
			t.Errorf("from %s: %s", from, got)
		}
	}
}

// A route that leads back to the gateway ends: the message is returned once, the notice is not answered with another,
// and nothing is left.
func TestALoopEnds(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "")
	front := listen(t) // another name for the gateway, which it does not know
	go func() {
		for {
			nc, err := front.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				back, err := net.Dial("tcp", g.addr)
				if err != nil {
					return
				}
				defer back.Close()
				go func() { _, _ = io.Copy(back, nc); back.Close() }()
				_, _ = io.Copy(nc, back)
			}()
		}
	}()
	g.more = append(g.more, fmt.Sprintf("[[route]]\nmatch = [\"*\"]\nto = [%q]\n", front.Addr()))
	g.settings["limits.hops"] = "15"
	g.start()
	if err := g.send("loop.", "x", "bob@shop.test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the loop has begun", func() bool { return strings.Contains(g.log(), "5.4.6") })
	eventually(t, patience, "the queue is empty", func() bool { return g.waiting() == 0 })
	log := g.log()
	if n := strings.Count(log, "msg=notice"); n != 1 {
		t.Errorf("%d notices were written, want 1", n)
	}
	if n := strings.Count(log, "msg=accepted"); n > 40 {
		t.Errorf("%d messages were accepted for one", n)
	}
}
