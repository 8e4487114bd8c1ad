package dispatch_test

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/gateway/dispatch"
	"postern/internal/policy"
	"postern/internal/queue"
)

// tired is a server whose connections take one message each; what it does at the second is end. It counts what it took.
type tired struct {
	net.Listener
	ehlo string // lines of extensions
	// end is what a used connection does: it gets the verb and answers, "" for the usual answer, and "close" to close.
	end func(verb string) string

	mu          sync.Mutex
	connections int
	taken       int
	heard       []string
}

func (s *tired) serve() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.connections++
		s.mu.Unlock()
		go s.session(c)
	}
}

func (s *tired) session(c net.Conn) {
	defer c.Close()
	say := func(text string) bool { _, err := c.Write([]byte(text + "\r\n")); return err == nil }
	say("220 mx.shop.test")
	r := bufio.NewReader(c)
	used := false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		s.mu.Lock()
		s.heard = append(s.heard, strings.TrimSpace(line))
		s.mu.Unlock()
		answer := map[string]string{"EHLO": "250-mx.shop.test\r\n" + s.ehlo + "250 ENHANCEDSTATUSCODES", "DATA": "354 go", "QUIT": "221 bye"}[verb]
		if answer == "" {
			answer = "250 ok"
		}
		if used && s.end(verb) != "" {
			answer = s.end(verb)
		}
		if answer == "close" {
			return
		}
		if !say(answer) || verb == "QUIT" || strings.HasPrefix(answer, "421") {
			return
		}
		if verb != "DATA" || !strings.HasPrefix(answer, "354") {
			continue
		}
		for line != ".\r\n" {
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		s.mu.Lock()
		s.taken++
		s.mu.Unlock()
		used = true
		say("250 taken")
	}
}

// at answers verb alone.
func at(verb, answer string) func(string) string {
	return func(v string) string {
		if v == verb {
			return answer
		}
		return ""
	}
}

// TestAUsedConnectionThatIsAtItsEndPutsNoMailOff: three messages, a connection for each, no attempt that failed, and
// each message once.
func TestAUsedConnectionThatIsAtItsEndPutsNoMailOff(t *testing.T) {
	for name, end := range map[string]func(string) string{
		"closed at MAIL":          at("MAIL", "close"),
		"421 at MAIL":             at("MAIL", "421 4.7.0 enough"),
		"too many messages":       at("MAIL", "450 4.7.1 too many messages on this connection"),
		"out of sequence":         at("MAIL", "503 5.5.1 sequence"),
		"421 at RCPT":             at("RCPT", "421 4.7.0 enough"),
		"closed at RCPT":          at("RCPT", "close"),
		"503 at RCPT":             at("RCPT", "503 5.5.1 need MAIL"),
		"no answer that is one":   at("MAIL", "what"),
		"RSET refused when idle":  at("RSET", "500 what"),
		"closed at RSET and MAIL": func(v string) string { return map[string]string{"RSET": "close", "MAIL": "close"}[v] },
	} {
		for _, ehlo := range []string{"", "250-PIPELINING\r\n"} {
			for _, pause := range []time.Duration{100 * time.Millisecond, 20 * time.Second} {
				t.Run(name, func(t *testing.T) {
					story(t, func(w *world) {
						w.shop.Close()
						l, err := w.net.Listen("192.0.2.20:25")
						if err != nil {
							t.Fatal(err)
						}
						s := &tired{Listener: l, ehlo: ehlo, end: end}
						go s.serve()
						defer l.Close()
						w.start()
						for range 3 {
							w.accept("a@example.test", nil, "x@shop.test")
							time.Sleep(pause)
						}
						time.Sleep(30 * time.Second)
						for _, rec := range w.records(queue.Ordinary) {
							if rec.State != queue.Delivered || rec.Attempts != 1 {
								t.Errorf("%v after %d attempts: %+v", rec.State, rec.Attempts, rec.History)
							}
						}
						s.mu.Lock()
						defer s.mu.Unlock()
						if s.taken != 3 || s.connections > 3 {
							t.Errorf("%d messages over %d connections", s.taken, s.connections)
						}
					}, func(c *dispatch.Config) { c.Linger = time.Minute })
				})
			}
		}
	}
}

// TestANewConnectionsAnswerCounts: what the next connection says is the peer's word, and it is asked once.
func TestANewConnectionsAnswerCounts(t *testing.T) {
	story(t, func(w *world) {
		w.shop.Close()
		l, err := w.net.Listen("192.0.2.20:25")
		if err != nil {
			t.Fatal(err)
		}
		s := &tired{Listener: l, end: at("MAIL", "450 4.7.1 full")}
		s.ehlo = "250-PIPELINING\r\n"
		go s.serve()
		defer l.Close()
		w.start()
		w.accept("a@example.test", nil, "x@shop.test")
		time.Sleep(100 * time.Millisecond)
		l.Close()
		l2, err := w.net.Listen("192.0.2.20:25")
		if err != nil {
			t.Fatal(err)
		}
		always := &tired{Listener: l2, ehlo: "250-PIPELINING\r\n"}
		go func() {
			for {
				c, err := l2.Accept()
				if err != nil {
					return
				}
				always.mu.Lock()
				always.connections++
				always.mu.Unlock()
				go refuseMail(c)
			}
		}()
		defer l2.Close()
		w.accept("a@example.test", nil, "x@shop.test")
		time.Sleep(10 * time.Second)
		rec := w.records(queue.Ordinary)[0]
		always.mu.Lock()
		defer always.mu.Unlock()
		if rec.State != queue.Queued || rec.Attempts != 1 || rec.Reason != policy.Remote4xx || always.connections != 1 {
			t.Errorf("%v after %d attempts, %v, %d new connections", rec.State, rec.Attempts, rec.Reason, always.connections)
		}
	}, func(c *dispatch.Config) { c.Linger = time.Minute })
}

// refuseMail is a session that takes no mail.
func refuseMail(c net.Conn) {
	defer c.Close()
	c.Write([]byte("220 mx.shop.test\r\n"))
	for lines := bufio.NewScanner(c); lines.Scan(); {
		answer := "250 ok\r\n"
		if strings.HasPrefix(lines.Text(), "MAIL") {
			answer = "450 4.7.1 full\r\n"
		}
		c.Write([]byte(answer))
	}
}

// TestTheNewConnectionPassesItsOwnVerdict: nothing of a forced message crosses the connection that takes the place of a
// good one unless it is good itself.
func TestTheNewConnectionPassesItsOwnVerdict(t *testing.T) {
	story(t, func(w *world) {
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(100 * time.Millisecond)
		w.clinic.Close() // and with it the connection that passed
		second := w.host("mx.clinic.test", "192.0.2.10")
		second.Set(w.expired("mx.clinic.test"))
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		rec := w.records(queue.Ordinary)[0]
		if rec.State != queue.Queued || rec.SiteState.Last == nil || rec.SiteState.Last.Reason != policy.CertExpired || spoke(second) {
			t.Errorf("%v %+v, spoke %v", rec.State, rec.SiteState.Last, spoke(second))
		}
	}, func(c *dispatch.Config) { c.Linger = time.Minute })
}
