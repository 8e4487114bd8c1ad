package smtpserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/smtp/smtpserver"
)

// greetings dials from each address and returns the first line each heard, with what is open.
func greetings(w *world, from ...string) (lines []string, open []net.Conn) {
	for _, a := range from {
		nc := w.dial(a)
		line, _ := bufio.NewReader(nc).ReadString('\n') // "" is what a connection that was closed says
		lines, open = append(lines, line), append(open, nc)
	}
	return lines, open
}

// networks are n clients that have nothing to do with each other.
func networks(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("198.51.%d.%d", 100+i/200, 1+i%200))
	}
	return out
}

func count(lines []string, prefix string) (n int) {
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// Sessions are let in as long as there is memory for all they may come to need; the others hear 421, and nobody who is
// in is put out. What a session held is there for the next.
func TestSessionsForWhomThereIsNoMemoryHear421(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fit = 10
		room := smtpserver.NewMemory(fit * (smtpserver.SessionMemory + smtpserver.TLSMemory))
		w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Gate = smtpserver.NewGate(-1, -1, room) })
		lines, open := greetings(w, networks(3*fit)...)
		if count(lines, "220 ") != fit || count(lines, "421 4.3.1 ") != 2*fit {
			t.Errorf("%d fit, and were answered: %q", fit, lines)
		}
		for _, nc := range open[:fit] { // whoever is in sends its message
			fmt.Fprint(nc, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
			if text, _ := io.ReadAll(nc); strings.Count(string(text), "\r\n250 ") != 4 {
				t.Errorf("a client that was in heard %q", text)
			}
		}
		synctest.Wait()
		if got := room.Taken(); got != 0 {
			t.Errorf("%d octets are taken after the last session", got)
		}
		if lines, open = greetings(w, "203.0.113.1"); count(lines, "220 ") != 1 {
			t.Errorf("after they left: %q", lines)
		}
		room.SetTight(true)
		more, others := greetings(w, "203.0.113.2")
		if count(more, "421 4.3.1 ") != 1 {
			t.Errorf("while the process has no memory: %q", more)
		}
		for _, nc := range append(open, others...) {
			nc.Close()
		}
		w.close()
	})
}

// A client without TLS gives back what TLS would have cost, and gets it again if it changes its mind; where it is gone
// it hears 421, never that TLS is not available.
func TestPlaintextGivesBackTheMemoryOfTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := smtpserver.NewMemory(2 * (smtpserver.SessionMemory + smtpserver.TLSMemory))
		w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Gate = smtpserver.NewGate(-1, -1, room) })
		lines, open := greetings(w, networks(2)...)
		if count(lines, "220 ") != 2 {
			t.Fatal(lines)
		}
		for _, nc := range open {
			fmt.Fprint(nc, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\n")
		}
		synctest.Wait()
		if got := room.Taken(); got != 2*smtpserver.SessionMemory {
			t.Errorf("%d octets are taken by two clients without TLS", got)
		}
		if lines, _ = greetings(w, "203.0.113.1"); count(lines, "220 ") != 0 {
			t.Errorf("a third fits only without TLS: %q", lines)
		}
		room.Take(2*smtpserver.TLSMemory - 100)
		fmt.Fprint(open[0], "RSET\r\nSTARTTLS\r\n")
		text, _ := io.ReadAll(open[0])
		if !strings.Contains(string(text), "\r\n421 4.3.1 ") || strings.Contains(string(text), "\r\n454") {
			t.Errorf("STARTTLS without memory: %q", text)
		}
		open[1].Close()
		w.close()
		if got := room.Taken(); got != 2*smtpserver.TLSMemory-100 {
			t.Errorf("%d octets are taken in the end", got)
		}
	})
}

// A flood from few networks leaves room for the others.
func TestAFloodFromOneNetworkLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fit = 100
		room := smtpserver.NewMemory(fit * (smtpserver.SessionMemory + smtpserver.TLSMemory))
		w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Gate = smtpserver.NewGate(-1, -1, room) })
		var flood []string
		for range fit {
			flood = append(flood, networks(4)...)
		}
		lines, open := greetings(w, flood...)
		in := count(lines, "220 ")
		if in < fit/3 || in > fit*2/3 || count(lines, "421 4.7.0 ") != len(lines)-in {
			t.Errorf("of four networks %d clients are in, %d fit", in, fit)
		}
		lines, more := greetings(w, networks(40)[10:]...)
		if count(lines, "220 ") != 30 {
			t.Errorf("others were answered %q", lines)
		}
		lines, last := greetings(w, networks(200)[60:]...)
		room.SetAmple(true) // what is really used is little
		before := count(lines, "220 ")
		lines, least := greetings(w, networks(400)[200:]...)
		if in := before + count(lines, "220 "); in < fit/4 || in > fit {
			t.Errorf("%d strangers more are in", in)
		}
		if lines, _ := greetings(w, "198.51.100.1"); count(lines, "220 ") != 0 {
			t.Errorf("one of the flood is in beyond the plan: %q", lines)
		}
		if got, most := room.Taken(), int64(fit)*5/4*(smtpserver.SessionMemory+smtpserver.TLSMemory); got > most {
			t.Errorf("%d octets are taken, at most %d may be", got, most)
		}
		more = append(append(more, last...), least...)
		for _, nc := range append(open, more...) {
			nc.Close()
		}
		w.close()
	})
}

// Recipients and long lines are paid for as well.
func TestRecipientsAndLongLinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := smtpserver.NewMemory(64 << 10)
		w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Memory = memory })
		nc := w.dial("198.51.100.1")
		fmt.Fprint(nc, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\n")
		for i := range 900 {
			fmt.Fprintf(nc, "RCPT TO:<b%d@gw.test> ORCPT=rfc822;%s@gw.test\r\n", i, strings.Repeat("x", 400))
		}
		fmt.Fprint(nc, "RSET\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
		text, _ := io.ReadAll(nc)
		taken, refused := strings.Count(string(text), "\r\n250 2.1.5"), strings.Count(string(text), "\r\n452 4.5.3 no memory")
		if taken+refused != 901 || taken < 40 || taken > 80 {
			t.Errorf("%d recipients taken, %d refused, in 64 KiB", taken, refused)
		}
		if !strings.HasSuffix(string(text), "\r\n250 2.0.0 Ok\r\n221 2.0.0 bye\r\n") {
			t.Errorf("the message after it: %q", text[len(text)-200:])
		}
		nc = w.dial("198.51.100.1")
		fmt.Fprint(nc, "AUTH "+strings.Repeat("x", 10_000))
		time.Sleep(time.Second)
		if got := memory.Taken(); got < 10_000 || got > 20_000 {
			t.Errorf("%d octets are taken for a line of 10,000", got)
		}
		memory.Take(int(64<<10 - memory.Taken()))
		other := w.dial("198.51.100.2")
		fmt.Fprint(other, "AUTH "+strings.Repeat("x", 10_000))
		if text, _ := io.ReadAll(other); !strings.Contains(string(text), "\r\n421 4.3.1 ") {
			t.Errorf("a long line without memory: %q", text)
		}
		nc.Close()
		w.close()
	})
}

// While the process as a whole has no memory a large message is not begun; small ones are.
func TestALargeMessageIsNotBegunWhileMemoryIsTight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := smtpserver.NewMemory(0)
		w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Memory = memory })
		memory.SetTight(true)
		nc := w.dial("198.51.100.1")
		fmt.Fprint(nc, "EHLO c.test\r\nMAIL FROM:<a@c.test> SIZE=10000000\r\nRCPT TO:<b@gw.test>\r\nDATA\r\nBDAT 5 LAST\r\nabc\r\n"+
			"RSET\r\nMAIL FROM:<a@c.test> SIZE=100\r\nRCPT TO:<b@gw.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
		text, _ := io.ReadAll(nc)
		if strings.Count(string(text), "\r\n452 4.3.1 ") != 2 || !strings.HasSuffix(string(text), "\r\n354 end with CRLF.CRLF\r\n250 2.0.0 Ok\r\n221 2.0.0 bye\r\n") {
			t.Errorf("%q", text)
		}
		w.close()
	})
}
