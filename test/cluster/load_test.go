package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// load is clients of several gateways that never stop sending. Each message goes to one recipient in each of four
// domains, whose local part is the mark of the message:
//
//	open.test     whose server knows no TLS, and takes it
//	refused.test  whose server refuses him: he is bounced
//	lapsed.test   whose mail is forced, and whose server never proves itself: it waits
//	sealed.test   whose mail is forced, and whose server proves itself
//
// A client gives up where it hears nothing for some seconds, and never sends a message again.
type load struct {
	ended chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	accepted []string   // marks of messages that were answered 250
	unsure   []string   // of messages that were answered with an error, or not at all
	by       []int      // how many messages each gateway accepted
	refused  []string   // what else clients heard
}

// answer is how long a client waits for a word.
const answer = 8 * time.Second

var domains = []string{"open.test", "refused.test", "lapsed.test", "sealed.test"}

// town adds the partners of a load, and a trap that takes everything in the clear. It is a mail host of both domains
// whose mail is forced. It returns the rules.
func town(c *cluster) string {
	w := c.gw[0]
	for _, g := range c.gw {
		g.Settings["delivery.connections_per_site"] = fmt.Sprint(connections)
		g.Settings["delivery.lifetime"] = `"1h"`
		g.Settings["cluster.lease"] = `"3s"`
		g.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(c.t))
	}
	w.Domain("open.test", partner.Behaviour{})
	w.Domain("aside.test", partner.Behaviour{}) // for whoever is not of the load
	w.Domain("refused.test", w.Refuses("mx.refused.test"))
	w.Domain("lapsed.test", w.Expired("mx.lapsed.test"))
	w.Domain("sealed.test", w.Good("mx.sealed.test"))
	w.Partner("trap.test", partner.Behaviour{})
	w.Record("!lapsed.test MX 20 trap.test", "!sealed.test MX 20 trap.test")
	const keys = "unspecified_recipients = \"opportunistic\"\ndefer = \"1h\"\nmx = \"any\""
	return harness.Force("lapsed", `"lapsed.test"`, keys) + harness.Force("sealed", `"sealed.test"`, keys)
}

// connections is how many a partner gets, of all gateways together.
const connections = 3

// startLoad sends to all gateways until it is stopped; each client rests a while after each message.
func startLoad(c *cluster, pause time.Duration) *load {
	l := &load{ended: make(chan struct{}), by: make([]int, len(c.gw))}
	for g, w := range c.gw {
		for n := range 2 {
			addr := w.Addr
			l.wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-l.ended:
						return
					case <-time.After(pause):
					}
					l.one(g, addr, fmt.Sprintf("m%d-%d-%d", g+1, n, i))
				}
			})
		}
	}
	return l
}

func (l *load) stop() {
	close(l.ended)
	l.wg.Wait()
}

// one sends a message and notes what became of it.
func (l *load) one(g int, addr, mark string) {
	sent, err := message(addr, mark)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.accepted = append(l.accepted, mark)
		l.by[g]++
	case sent:
		l.unsure = append(l.unsure, mark)
	}
	if _, heard := errors.AsType[*textproto.Error](err); heard {
		l.refused = append(l.refused, err.Error())
	}
}

// message sends one, and reports whether its end was sent.
func message(addr, mark string) (sent bool, err error) {
	conn, err := net.DialTimeout("tcp", addr, answer)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answer)); err != nil {
		return false, err
	}
	c, err := smtp.NewClient(conn, addr)
	if err != nil {
		return false, err
	}
	if err := c.Mail("anna@home.test"); err != nil {
		return false, err
	}
	var to []string
	for _, d := range domains {
		to = append(to, mark+"@"+d)
		if err := c.Rcpt(mark + "@" + d); err != nil {
			return false, err
		}
	}
	wc, err := c.Data()
	if err != nil {
		return false, err
	}
	text := harness.Message("anna@home.test", to, mark+".")
	if rand.IntN(20) == 0 {
		text += strings.Repeat("a line of a large message\r\n", 8000) // it is kept in chunks
	}
	if _, err := wc.Write([]byte(text + "end of " + mark + ".\r\n")); err != nil {
		return false, err
	}
	return true, wc.Close()
}

// works waits until every gateway has accepted some more.
func (l *load) works(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	before := slices.Clone(l.by)
	l.mu.Unlock()
	harness.Eventually(t, 2*harness.Patience, "every gateway accepts mail", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for g, n := range l.by {
			if n < before[g]+3 {
				return false
			}
		}
		return true
	})
}

var (
	marks  = regexp.MustCompile(`(?m)^Subject: about (m[-0-9]+)\.\r$`)
	ownIDs = regexp.MustCompile(`(?mi)^Message-ID:\s+(<[^>]*gw\.home\.test>)\r$`)
	finals = regexp.MustCompile(`(?m)^Final-Recipient: rfc822; ([^\s@]+)@(\S+)\r$`)
)

// arrived counts the copies of each whole message at a server.
func arrived(t *testing.T, p *partner.Partner) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, m := range p.Messages() {
		mark := marks.FindStringSubmatch(m.Data)
		if mark == nil || !strings.HasSuffix(m.Data, "end of "+mark[1]+".\r\n") {
			t.Errorf("not a whole message of ours: %.300q", m.Data)
			continue
		}
		out[mark[1]]++
	}
	return out
}

// reports are the ids of the reports about each message. One report may arrive twice, as any mail.
func reports(t *testing.T, home *partner.Partner) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, m := range home.Messages() {
		id, about := ownIDs.FindStringSubmatch(m.Data), finals.FindAllStringSubmatch(m.Data, -1)
		if id == nil || len(about) != 1 || about[0][2] != "refused.test" {
			t.Errorf("a report that nobody should get: %.1500s", m.Data)
			continue
		}
		if mark := about[0][1]; !slices.Contains(out[mark], id[1]) {
			out[mark] = append(out[mark], id[1])
		}
	}
	return out
}

// settled waits until all that was accepted has arrived where it can, and is so in the trace; mail to lapsed.test waits.
func (l *load) settled(t *testing.T, c *cluster) {
	t.Helper()
	var waits, said string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("this waits: %s%s", waits, said)
		}
	})
	harness.Eventually(t, 3*harness.Patience, "nothing is waiting but what must", func() bool {
		list := c.gw[0].Run("", "queue", "list", "--json")
		waits, said = "", list.Stderr
		for line := range strings.Lines(list.Stdout) {
			if !strings.Contains(line, "@lapsed.test") {
				waits += line
			}
		}
		return list.Code == 0 && waits == ""
	})
}

// tell is check, which may find so many copies that came again.
func (l *load) tell(t *testing.T, c *cluster, most int) {
	t.Helper()
	again := l.check(t, c)
	t.Logf("%d messages were accepted, of %d nobody knows, %d refusals were heard, %d copies came again", len(l.accepted),
		len(l.unsure), len(l.refused), again)
	if again > most {
		t.Errorf("%d copies came again, want at most %d", again, most)
	}
}

// check compares what was answered with what came and with what the trace says, for each recipient, and returns how many
// copies came twice.
func (l *load) check(t *testing.T, c *cluster) (again int) {
	t.Helper()
	l.settled(t, c)
	w := c.gw[0]
	opened, sealed, told := arrived(t, w.Hosts["mx.open.test"]), arrived(t, w.Hosts["mx.sealed.test"]), reports(t, w.Home())
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for _, mark := range l.accepted {
		if opened[mark] == 0 || sealed[mark] == 0 || len(told[mark]) != 1 {
			say("%s was answered 250: %d copies at open.test, %d at sealed.test, reports %q", mark, opened[mark], sealed[mark], told[mark])
		}
	}
	for _, reply := range l.refused {
		if reply[0] != '4' {
			say("a client heard %s", reply)
		}
	}
	for _, mark := range l.unsure {
		if len(told[mark]) > 1 {
			say("%s was reported twice: %q", mark, told[mark])
		}
	}
	for _, came := range []map[string]int{opened, sealed} {
		for mark, n := range came {
			again += n - 1
			if !slices.Contains(l.accepted, mark) && !slices.Contains(l.unsure, mark) {
				say("%s came, and nobody sent it", mark)
			}
		}
	}
	for host, proven := range map[string]bool{"mx.lapsed.test": false, "mx.sealed.test": true, "mail.home.test": true, "trap.test": false} {
		if lines := harness.Forbidden(w.Hosts[host], proven); len(lines) > 0 {
			say("%s heard what it must not: %.300q", host, lines)
		}
	}
	wrong = append(wrong, l.traced(w)...)
	if len(wrong) > 10 {
		wrong = append(wrong[:10], fmt.Errorf("and %d more", len(wrong)-10))
	}
	if err := errors.Join(wrong...); err != nil {
		t.Error(err)
	}
	return again
}

// reasons are why mail to lapsed.test waits: what is published is asked for first, and that is in the database too.
var reasons = []string{"cert-expired", "policy-unavailable"}

// traced compares the trace of each recipient of an accepted message with what must have become of him.
func (l *load) traced(w *harness.World) (wrong []error) {
	want := map[string]harness.Trace{
		"open.test":    {State: "delivered", Reached: "plaintext"},
		"refused.test": {State: "failed", Reached: ""},
		"lapsed.test":  {State: "queued", Requires: "authenticated"},
		"sealed.test":  {State: "delivered", Requires: "authenticated", Reached: "authenticated", MX: "mx.sealed.test"},
	}
	for domain, want := range want {
		found := map[string][]harness.Trace{}
		for _, t := range w.Traces("trace", "--recipient", "*@"+domain, "--limit", "100000") {
			mark, _, _ := strings.Cut(t.To, "@")
			found[mark] = append(found[mark], t)
		}
		for _, mark := range l.accepted {
			got := found[mark]
			if domain == "lapsed.test" && len(got) == 1 && got[0].State == "sending" {
				got[0].State = "queued" // it is being tried again
			}
			if len(got) != 1 || got[0].State != want.State || want.Reached != "" && got[0].Reached != want.Reached ||
				want.MX != "" && got[0].MX != want.MX || want.Requires != "" && got[0].Requires != want.Requires {
				wrong = append(wrong, fmt.Errorf("%s at %s: %.900s", mark, domain, raw(got)))
			} else if domain == "lapsed.test" && !slices.Contains(reasons, got[0].Reason) && (got[0].Reason != "" || got[0].AttemptCount > 0) {
				// The site is probed once a second; many wait for their first try.
				wrong = append(wrong, fmt.Errorf("%s waits at %s for %q", mark, domain, got[0].Reason))
			}
		}
	}
	return wrong
}

// raw is the lines of traces.
func raw(traces []harness.Trace) (out string) {
	for _, t := range traces {
		out += t.Raw
	}
	return out
}
