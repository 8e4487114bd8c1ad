package acceptance

import (
	"fmt"
	"math/rand/v2"
	"net/smtp"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// rounds is how often the gateway is killed.
const rounds = 12

// load is clients that never stop sending. Each message goes to three recipients: one whose server takes it, one whose
// server refuses it, one who can only be bounced when his window ends.
type load struct {
	addr string
	stop chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	accepted []string   // the marks of messages that were answered 250
	refused  int
}

func (l *load) run(clients int) {
	for n := range clients {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				mark := fmt.Sprintf("mark-%d-%d.", n, i)
				err := l.send(mark)
				l.mu.Lock()
				if err == nil {
					l.accepted = append(l.accepted, mark)
				} else {
					l.refused++
				}
				l.mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
}

// send is nil only when the gateway has answered 250 to the content.
func (l *load) send(mark string) error {
	c, err := smtp.Dial(l.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail("anna@home.test"); err != nil {
		return err
	}
	for _, to := range []string{"a@taken.test", "b@refused.test", "c@expired.test"} {
		if err := c.Rcpt(to); err != nil {
			return err
		}
	}
	content, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(content, "Subject: %s\r\nMessage-ID: <%s@home.test>\r\n\r\n%s\r\n", mark, mark, strings.Repeat("x", rand.IntN(4000))); err != nil {
		return err
	}
	return content.Close()
}

var (
	marks       = regexp.MustCompile(`(?m)^Subject: (mark-\d+-\d+\.)\r$`)
	ownIDs      = regexp.MustCompile(`(?mi)^Message-ID:\s+(<[^>]*gw\.home\.test>)\r$`)
	finalRcpts  = regexp.MustCompile(`(?m)^Final-Recipient: rfc822; (\S+)\r$`)
	loadRefusal = map[string]string{"RCPT": "550 5.1.1 nobody here"}
)

func TestKilledAtAnyMomentTheGatewayLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.Domain("taken.test", w.Good("mx.taken.test"))
	refusing := w.Good("mx.refused.test")
	refusing.Replies = loadRefusal
	w.Domain("refused.test", refusing)
	w.Domain("expired.test", w.Expired("mx.expired.test"))
	w.Start(harness.Force("late", `"expired.test"`, ticked, `defer = "2s"`))
	l := &load{addr: w.Addr, stop: make(chan struct{})}
	l.run(4)
	for range rounds {
		time.Sleep(time.Duration(100+rand.IntN(700)) * time.Millisecond)
		w.Kill()
		w.Serve()
	}
	close(l.stop)
	l.wg.Wait()
	t.Logf("%d messages were accepted, %d were not, over %d kills", len(l.accepted), l.refused, rounds)
	if len(l.accepted) < 10*rounds {
		t.Fatalf("only %d messages: this is no load", len(l.accepted))
	}
	harness.Eventually(t, 2*harness.Patience, "the queue is empty", func() bool { return len(w.Traces("queue", "list", "--limit", "1")) == 0 })

	// At most what was between the partner's 250 and the gateway's record of it, one message for each connection.
	const connections = 5
	count(t, l.accepted, w.Hosts["mx.taken.test"], rounds*connections)
	reports(t, l.accepted, w.Home())
	for _, host := range []string{"mx.taken.test", "mx.expired.test", "mail.home.test"} {
		if lines := harness.Forbidden(w.Hosts[host], host != "mx.expired.test"); len(lines) > 0 {
			t.Errorf("%s heard what it must not: %.300q", host, lines)
		}
	}
}

func TestStoppedInOrderTheGatewayDeliversEverythingOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("taken.test", w.Good("mx.taken.test"))
	refusing := w.Good("mx.refused.test")
	refusing.Replies = loadRefusal
	w.Domain("refused.test", refusing)
	w.Domain("expired.test", w.Expired("mx.expired.test"))
	w.Start(harness.Force("late", `"expired.test"`, ticked, `defer = "2s"`))
	l := &load{addr: w.Addr, stop: make(chan struct{})}
	l.run(2)
	for range 4 {
		time.Sleep(time.Duration(300+rand.IntN(500)) * time.Millisecond)
		w.Restart()
	}
	close(l.stop)
	l.wg.Wait()
	t.Logf("%d messages were accepted, %d were not", len(l.accepted), l.refused)
	harness.Eventually(t, 2*harness.Patience, "the queue is empty", func() bool { return len(w.Traces("queue", "list", "--limit", "1")) == 0 })
	count(t, l.accepted, w.Hosts["mx.taken.test"], 0)
	reports(t, l.accepted, w.Home())
}

// count checks that every accepted message came, and few came twice.
func count(t *testing.T, accepted []string, p *partner.Partner, again int) {
	t.Helper()
	came := map[string]int{}
	twice := 0
	for _, m := range p.Messages() {
		mark := marks.FindStringSubmatch(m.Data)
		if mark == nil {
			t.Fatalf("a message that nobody sent:\n%s", m.Data)
		}
		if came[mark[1]]++; came[mark[1]] > 1 {
			twice++
		}
	}
	for _, mark := range accepted {
		if came[mark] == 0 {
			t.Errorf("%s was answered 250 and is lost", mark)
		}
	}
	if twice > again {
		t.Errorf("%d messages came twice, want at most %d", twice, again)
	}
	t.Logf("%d messages came, %d of them again", len(came), twice)
}

// reports checks that each accepted message was reported once for each recipient that failed. One report may travel
// twice, as any mail; two reports may not say the same.
func reports(t *testing.T, accepted []string, p *partner.Partner) {
	t.Helper()
	told := map[string]map[string]bool{} // mark and recipient: the reports' ids
	for _, m := range p.Messages() {
		mark, id := marks.FindStringSubmatch(m.Data), ownIDs.FindStringSubmatch(m.Data)
		if mark == nil || id == nil {
			t.Fatalf("a report without what it is about:\n%s", m.Data)
		}
		for _, to := range finalRcpts.FindAllStringSubmatch(m.Data, -1) {
			key := mark[1] + " " + to[1]
			if told[key] == nil {
				told[key] = map[string]bool{}
			}
			told[key][id[1]] = true
		}
	}
	for _, mark := range accepted {
		for _, to := range []string{"b@refused.test", "c@expired.test"} {
			if n := len(told[mark+" "+to]); n != 1 {
				t.Errorf("%s: %d reports about %s, want 1", mark, n, to)
			}
		}
	}
}
