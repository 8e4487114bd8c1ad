package acceptance

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"postern/test/harness"
)

// grumpy is a server that takes one message a connection, says 421 to the next MAIL, refuses the SIZE it offers, and
// ends the session when DATA comes for nobody.
type grumpy struct {
	mu    sync.Mutex
	taken int
	data  int // DATA that came for nobody
	sizes int // MAIL with SIZE
}

func (g *grumpy) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go g.session(c)
	}
}

func (g *grumpy) session(c net.Conn) {
	defer c.Close()
	fmt.Fprint(c, "220 mx.grumpy.test\r\n")
	lines := bufio.NewScanner(c)
	used, accepted, content := false, false, false
	for lines.Scan() {
		line := lines.Text()
		g.mu.Lock()
		answer := "250 ok"
		switch {
		case content && line != ".":
			g.mu.Unlock()
			continue
		case content:
			content, used, accepted = false, true, false
			g.taken++
		case strings.HasPrefix(line, "EHLO"):
			answer = "250-mx.grumpy.test\r\n250-PIPELINING\r\n250 SIZE 1000000"
		case strings.HasPrefix(line, "MAIL") && used:
			answer = "421 4.7.0 one message a connection"
		case strings.HasPrefix(line, "MAIL") && strings.Contains(line, "SIZE="):
			g.sizes++
			answer = "555 5.5.4 no parameters"
		case strings.HasPrefix(line, "RCPT TO:<nobody@"):
			answer = "550 5.1.1 nobody"
		case strings.HasPrefix(line, "RCPT"):
			accepted = true
		case line == "DATA" && !accepted:
			g.data++
			answer = "421 4.7.0 too many errors"
		case line == "DATA":
			content, answer = true, "354 go"
		}
		g.mu.Unlock()
		fmt.Fprint(c, answer+"\r\n")
		if strings.HasPrefix(answer, "421") || line == "QUIT" {
			return
		}
	}
}

// TestAServersMannersPutNoMailOff: what is refused is the connection or our way of speaking, never the mail; the next
// try would be an hour away.
func TestAServersMannersPutNoMailOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ip := harness.NewIP()
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, w.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g := &grumpy{}
	go g.serve(l)
	w.Record("grumpy.test MX 10 mx.grumpy.test", "mx.grumpy.test A "+ip)
	w.Settings["delivery.retry"], w.Settings["delivery.idle_time"], w.Settings["delivery.connections_per_site"] = `["1h"]`, `"30s"`, "1"
	w.Start("")
	for i := range 4 {
		to := fmt.Sprintf("p%d@grumpy.test", i)
		state := "delivered"
		if i%2 == 1 {
			to, state = "nobody@grumpy.test", "failed"
		}
		w.Send("anna@home.test", "hello", to)
		w.Await(to, func(tr harness.Trace) bool { return tr.State == state })
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken != 2 || g.data != 0 || g.sizes != 1 {
		t.Errorf("%d messages, %d times DATA for nobody, %d times SIZE", g.taken, g.data, g.sizes)
	}
}
