package endurance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// client is one SMTP connection to the gateway, spoken by hand.
type client struct {
	net.Conn
	r *bufio.Reader
}

// dial opens a connection from an address, "" for any, and reads the greeting.
func dial(to, from string) (*client, error) {
	d := net.Dialer{Timeout: patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	nc, err := d.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	c := &client{nc, bufio.NewReader(nc)}
	if err := c.wants("220"); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// reply reads one whole reply.
func (c *client) reply() (string, error) {
	var b strings.Builder
	_ = c.SetReadDeadline(time.Now().Add(patience)) // shows at the read
	for {
		line, err := c.r.ReadString('\n')
		b.WriteString(line)
		if err != nil || len(line) < 4 || line[3] != '-' {
			return b.String(), err
		}
	}
}

func (c *client) wants(code string) error {
	reply, err := c.reply()
	if err == nil && !strings.HasPrefix(reply, code) {
		err = fmt.Errorf("reply %q, want %s", reply, code)
	}
	return err
}

// say sends commands one by one, "COMMAND code", each of which must be answered so.
func (c *client) say(lines ...string) error {
	for _, line := range lines {
		i := strings.LastIndexByte(line, ' ')
		if _, err := io.WriteString(c, line[:i]+"\r\n"); err != nil {
			return err
		}
		if err := c.wants(line[i+1:]); err != nil {
			return fmt.Errorf("%.60s: %w", line, err)
		}
	}
	return nil
}

// message sends one message; nil means that it was answered 250.
func (c *client) message(mark, body string, to ...string) error {
	if err := c.say("MAIL FROM:<anna@far.test> 250"); err != nil {
		return err
	}
	for _, r := range to {
		if err := c.say("RCPT TO:<" + r + "> 250"); err != nil {
			return err
		}
	}
	if err := c.say("DATA 354"); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "Subject: %s\r\n\r\n%s\r\n", mark, body); err != nil {
		return err
	}
	return c.say(". 250")
}

// send hands the gateway one message over a connection of its own.
func (g *gateway) send(mark, body string, to ...string) error {
	c, err := dial(g.addr, "")
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.say("EHLO far.test 250"); err != nil {
		return err
	}
	if err := c.message(mark, body, to...); err != nil {
		return err
	}
	return c.say("QUIT 221")
}

// sink is a mail server that counts what it takes, by the mark in the subject.
type sink struct {
	l     net.Listener
	delay atomic.Int64 // nanoseconds before the answer to each content
	open  atomic.Int64 // connections

	mu    sync.Mutex // guards what follows
	marks map[string]int
}

var subject = regexp.MustCompile(`(?m)^Subject: (\S+)\r$`)

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{l: listen(t), marks: map[string]int{}}
	go func() {
		for {
			nc, err := s.l.Accept()
			if err != nil {
				return
			}
			s.open.Add(1)
			go func() {
				defer s.open.Add(-1)
				defer nc.Close()
				s.serve(nc)
			}()
		}
	}()
	return s
}

func (s *sink) addr() string { return s.l.Addr().String() }

func (s *sink) serve(nc net.Conn) {
	r := bufio.NewReaderSize(nc, 64<<10)
	fmt.Fprint(nc, "220 sink.test\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch strings.ToUpper(strings.TrimSpace(line)) {
		case "DATA":
			fmt.Fprint(nc, "354 go on\r\n")
			mark, err := content(r)
			if err != nil {
				return
			}
			time.Sleep(time.Duration(s.delay.Load()))
			s.mu.Lock()
			if mark != "" {
				s.marks[mark]++
			}
			s.mu.Unlock()
			fmt.Fprint(nc, "250 taken\r\n")
		case "QUIT":
			fmt.Fprint(nc, "221 bye\r\n")
			return
		default:
			fmt.Fprint(nc, "250 ok\r\n")
		}
	}
}

// content reads to the final dot and returns the mark.
func content(r *bufio.Reader) (mark string, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) { // a long line comes in pieces
			return "", err
		}
		if string(line) == ".\r\n" {
			return mark, nil
		}
		if m := subject.FindSubmatch(line); m != nil && mark == "" {
			mark = string(m[1])
		}
	}
}

// taken counts the different messages and those that came again.
func (s *sink) taken() (different, again int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.marks {
		different, again = different+1, again+n-1
	}
	return different, again
}

func (s *sink) has(mark string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[mark] > 0
}

// load is clients that never stop sending until told to.
type load struct {
	stopping chan struct{}
	group    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	accepted []string   // the marks of what was answered 250
	errs     []error
}

// begin starts clients that send to a gateway, each over connections of some messages. from is their addresses, each
// one's own if it is empty.
func begin(addr string, clients, messages int, body string) *load {
	l := &load{stopping: make(chan struct{})}
	for n := range clients {
		l.group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stopping:
					return
				default:
				}
				if err := l.session(addr, fmt.Sprintf("m-%d-%d", n, i), messages, body); err != nil {
					l.mu.Lock()
					l.errs = append(l.errs, err)
					l.mu.Unlock()
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	return l
}

func (l *load) session(addr, name string, messages int, body string) error {
	c, err := dial(addr, "")
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	if err := c.say("EHLO far.test 250"); err != nil {
		return err
	}
	for i := range messages {
		mark := fmt.Sprintf("%s-%d.", name, i)
		if err := c.message(mark, body, "bob@shop.test"); err != nil {
			return err
		}
		l.mu.Lock()
		l.accepted = append(l.accepted, mark)
		l.mu.Unlock()
	}
	return c.say("QUIT 221")
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// end stops the clients and returns what was accepted and what went wrong.
func (l *load) end() (accepted []string, errs []error) {
	close(l.stopping)
	l.group.Wait()
	return l.accepted, l.errs
}

// arrived fails the test unless the sink gets everything that was accepted, and at most so many twice. It waits as long
// as something more arrives within the time given: how much was taken depends on the machine.
func (s *sink) arrived(t *testing.T, accepted []string, within time.Duration, twice int) {
	t.Helper()
	missing := func() (out []string) {
		for _, mark := range accepted {
			if !s.has(mark) {
				out = append(out, mark)
			}
		}
		return out
	}
	end, before := time.Now().Add(within), len(accepted)+1
	for left := len(missing()); left > 0; left = len(missing()) {
		if left < before {
			end, before = time.Now().Add(within), left
		}
		time.Sleep(50 * time.Millisecond)
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages that were answered 250 did not arrive: %.200v", len(missing()), len(accepted), missing())
		}
	}
	if _, again := s.taken(); again > twice {
		t.Errorf("%d messages arrived again, at most %d may", again, twice)
	}
}
