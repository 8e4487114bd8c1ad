package acceptance

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// within is how long mail that nothing is wrong with may wait on a busy machine while others hang. Before connections
// had parts it was ten minutes.
const within = 15 * time.Second

// tarpits makes n destinations, tN.evil.test, each with an address of its own, that stop answering at a step: their
// name server ("DNS"), their address ("connect"), or their mail server.
func (w *world) tarpits(n int, at string) {
	w.T.Helper()
	var records []string
	for i := range n {
		if at == "DNS" {
			records = append(records, fmt.Sprintf("t%d.evil.test timeout", i))
			continue
		}
		ip := harness.NewIP()
		if at == "connect" {
			w.blackhole(ip)
			records = append(records, fmt.Sprintf("!t%d.evil.test MX 10 mx%d.evil.test", i, i), fmt.Sprintf("mx%d.evil.test A %s", i, ip))
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, w.Port))
		if err != nil {
			w.T.Fatal(err)
		}
		w.T.Cleanup(func() { l.Close() })
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				go tarpit(nc, at)
			}
		}()
		records = append(records, fmt.Sprintf("!t%d.evil.test MX 10 mx%d.evil.test", i, i), fmt.Sprintf("mx%d.evil.test A %s", i, ip))
	}
	w.Record(records...)
}

// blackhole makes an address that drops what wants to connect: its listener accepts nobody, and its queue is full.
func (w *world) blackhole(ip string) {
	w.T.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = syscall.Close(fd) }) // nobody waits for it
	addr := &syscall.SockaddrInet4{Port: w.Port, Addr: netip.MustParseAddr(ip).As4()}
	if err := errors.Join(syscall.Bind(fd, addr), syscall.Listen(fd, 0)); err != nil {
		w.T.Fatal(err)
	}
	c, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(w.Port)).String()) // the one there is room for
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { c.Close() })
}

// tarpit speaks SMTP until it hangs.
func tarpit(nc net.Conn, at string) {
	defer nc.Close()
	in := bufio.NewReader(nc)
	say := func(step, text string) bool {
		if step == at {
			for _, err := in.ReadByte(); err == nil; _, err = in.ReadByte() {
			}
			return false
		}
		_, err := fmt.Fprint(nc, text)
		return err == nil
	}
	if !say("greeting", "220 tarpit\r\n") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err != nil || !say(verb, map[string]string{"DATA": "354 go on\r\n"}[verb]) {
			return
		}
		if verb == "DATA" {
			for err == nil && line != ".\r\n" {
				line, err = in.ReadString('\n')
			}
			verb = "."
		} else if verb == at {
			return
		}
		if !say(verb, "250 fine\r\n") {
			return
		}
	}
}

// A stranger, or one user, who writes to hundreds of destinations that hang delays nobody: our own server, a partner
// that works and one never tried get their mail within seconds, from the beginning and later.
func TestWhoeverHangsStarvesNobody(t *testing.T) {
	t.Parallel()
	floods := map[string]func(w *world, n int){
		// Mail with forged senders to somebody whom our server does not know: each makes a report.
		"reports": func(w *world, n int) {
			c := w.Connect(harness.Stranger)
			c.Say("EHLO stranger.test", "250")
			to := []string{"nobody@home.test"}
			for i := range n {
				from := fmt.Sprintf("forged@t%d.evil.test", i)
				c.Transaction(from, to, harness.Message(from, to, "spam"))
			}
		},
		"one message": func(w *world, n int) {
			var to []string
			for i := range n {
				to = append(to, fmt.Sprintf("x@t%d.evil.test", i))
			}
			w.Send("list@home.test", "news", to...)
		},
	}
	for name, flood := range floods {
		for _, at := range []string{"DNS", "connect", "greeting", "RCPT", "."} {
			t.Run(name+" "+at, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.Settings["delivery.attempt_timeout"], w.Settings["delivery.lifetime"] = `"5m"`, `"120h"`
				home := w.Good("mail.home.test")
				home.Replies = map[string]string{"RCPT TO:<nobody@home.test>": "550 5.1.1 nobody"}
				w.Home().Set(home)
				w.TakesAll("home.test") // as from a server that does not know its people at RCPT
				works := w.Domain("works.test", w.Good("mx.works.test"))
				w.Domain("never.test", w.Good("mx.never.test"))
				w.Domain("later.test", w.Good("mx.later.test"))
				w.tarpits(420, at)
				w.Start("")
				w.Send("me@home.test", "first", "x@works.test")
				harness.Eventually(t, harness.Patience, "a first message", func() bool { return len(harness.Bodies(works, "first")) == 1 })
				flood(w, 420)
				w.unharmed("at once", "never.test")
				time.Sleep(12 * time.Second) // what hangs is slow now
				w.unharmed("afterwards", "later.test")
			})
		}
	}
}

// unharmed wants mail to arrive in time: from a stranger to our own server, and to two partners.
func (w *world) unharmed(text, never string) {
	w.T.Helper()
	c := w.Connect(harness.Stranger)
	c.Say("EHLO friend.test", "250")
	c.Transaction("friend@works.test", []string{"me@home.test"}, harness.Message("friend@works.test", []string{"me@home.test"}, text))
	c.Say("QUIT", "221")
	w.Send("me@home.test", text, "x@works.test")
	w.Send("me@home.test", text, "x@"+never)
	for _, p := range []*partner.Partner{w.Home(), w.Hosts["mx.works.test"], w.Hosts["mx."+never]} {
		harness.Eventually(w.T, within, text+" at "+p.Addr().String(), func() bool { return len(harness.Bodies(p, text)) > 0 })
	}
}
