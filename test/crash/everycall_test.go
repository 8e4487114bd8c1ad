package crash

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// span is a stretch of a message's life in which the gateway is killed at each call.
type span struct {
	name string
	kind kind
	to   []string
}

// spans are from the final dot to the 250 and on to the settle, for each kind of message, and from the dot through the
// bounce.
func spans() []span {
	var out []span
	for _, k := range kinds() {
		out = append(out, span{"accept-" + k.name, k, []string{"a@taken.test"}})
	}
	return append(out, span{"bounce", kind{"large", 200_000, false}, []string{"b@refused.test"}})
}

// try is one letter that something came upon.
type try struct {
	letter   letter
	to       string // the first
	accepted bool   // it was answered 250
	killed   string // before which call the gateway ended; "" when it did not
}

func TestKilledAtEveryCallTheGatewayLosesNothing(t *testing.T) {
	for _, s := range spans() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := cast(t)
			b := breaking(t, w)
			b.startBroken(t)

			// Once without a kill, to know how many calls there are.
			first, _ := b.hand(s, s.name+"-first", func() { b.order(orderKill, 0) })
			b.quiet()
			points, _, _ := b.counted()
			b.end()
			tries, at := []try{first}, everyOne(points, either(3, points))
			for _, n := range at {
				b.serve()
				killed, _ := b.hand(s, fmt.Sprintf("%s-at-%d", s.name, n), func() { b.order(orderKill, n) })
				b.quiet()
				killed.killed = b.did()
				tries = append(tries, killed)
				b.end()
			}
			b.serve()
			count(t, tries, w.Hosts["mx.taken.test"], w.Home())
			t.Logf("%d of %d calls:\n%s", len(at), points, histogram(tries))
		})
	}
}

// everyOne are the numbers from 1 to last, or as many of them, spread evenly and shifted by chance.
func everyOne(last, many int) (out []int) {
	step := max(float64(last)/float64(many), 1)
	for x := rand.Float64() * step; int(x) < last; x += step {
		out = append(out, int(x)+1)
	}
	return out
}

// startBroken writes the configuration and starts the gateway under the tracer until the end of the test.
func (b *breaker) startBroken(t *testing.T) {
	t.Helper()
	b.w.Configure()
	b.serve()
	t.Cleanup(func() {
		b.w.Stop()
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", b.w.Log())
		}
	})
}

// end makes sure that the gateway has ended, by a kill.
func (b *breaker) end() {
	b.order(orderKill, 1)
	_ = b.w.Process.Cmd.Process.Signal(syscall.SIGTERM) // whatever it does now is its next point
	<-b.w.Process.Ended
}

// hand sends a letter and returns the reply to it, "" when the gateway ends before. before runs when its content is
// due.
func (b *breaker) hand(s span, mark string, before func()) (try, string) {
	b.w.T.Helper()
	out := try{letter: newLetter(mark, s.kind.size), to: s.to[0]}
	conn, err := net.Dial("tcp", b.w.Addr)
	if err != nil {
		return out, ""
	}
	defer conn.Close()
	c := &harness.Client{T: b.w.T, Conn: conn, R: bufio.NewReader(conn)}
	if greeting := c.Read(); !strings.HasPrefix(greeting, "220") {
		return out, strings.TrimSpace(greeting)
	}
	commands := []string{"EHLO mail.home.test", "MAIL FROM:<" + out.letter.sender() + ">"}
	for _, to := range s.to {
		commands = append(commands, "RCPT TO:<"+to+">")
	}
	if !s.kind.bdat {
		commands = append(commands, "DATA")
	}
	for _, command := range commands {
		_, _ = c.Conn.Write([]byte(command + "\r\n")) // the reply tells
		if reply := c.Read(); reply == "" || reply[0] > '3' {
			return out, strings.TrimSpace(reply)
		}
	}
	before()
	began := time.Now()
	reply := out.letter.rest(c, s.kind.bdat)
	if reply == "" && time.Since(began) > harness.Patience {
		reply = "no answer"
	}
	out.accepted = strings.HasPrefix(reply, "250")
	return out, strings.TrimSpace(reply)
}

// rest sends the content of a letter and returns the reply to the whole; "" when there is none.
func (l letter) rest(c *harness.Client, bdat bool) string {
	if !bdat {
		_, _ = c.Conn.Write([]byte(l.content + ".\r\n")) // the reply tells
		return c.Read()
	}
	half := len(l.content) / 2
	_, _ = fmt.Fprintf(c.Conn, "BDAT %d\r\n%s", half, l.content[:half])
	if reply := c.Read(); !strings.HasPrefix(reply, "250") {
		return reply
	}
	_, _ = fmt.Fprintf(c.Conn, "BDAT %d LAST\r\n%s", len(l.content)-half, l.content[half:])
	return c.Read()
}

// count compares what was answered with what came.
func count(t *testing.T, tries []try, taken, home *partner.Partner) {
	t.Helper()
	for _, wrong := range miscounted(tries, taken.Messages(), home.Messages()) {
		t.Error(wrong)
	}
}

// miscounted says what was lost, came more often than a kill explains, came in part, or was reported twice.
func miscounted(tries []try, taken, home []partner.Message) (out []string) {
	for _, try := range tries {
		arrived := 0
		for _, m := range taken {
			is, whole := try.letter.in(m)
			if is && !whole {
				out = append(out, fmt.Sprintf("%s came in part:\n%.300s", try.letter.mark, m.Data))
			}
			if is {
				arrived++
			}
		}
		reports := map[string]bool{}
		for _, m := range home {
			if slices.Contains(m.To, try.letter.sender()) { // a report may lack what of the message could not be read
				reports[ownIDs.FindStringSubmatch(m.Data)[1]] = true
			}
		}
		most := 1
		if try.killed != "" {
			most = 2
		}
		got, name := arrived, "arrivals"
		if try.to == "b@refused.test" {
			got, name, most = len(reports), "reports", 1
		} else if len(reports) != 0 {
			out = append(out, fmt.Sprintf("%s, killed before %q: %d reports", try.letter.mark, try.killed, len(reports)))
		}
		if try.accepted && got == 0 || got > most {
			out = append(out, fmt.Sprintf("%s, accepted %v, killed before %q: %d %s", try.letter.mark, try.accepted, try.killed, got, name))
		}
	}
	return out
}

// histogram counts the calls that kills came before.
func histogram(tries []try) string {
	times := map[string]int{}
	for _, try := range tries {
		what := try.killed
		if strings.Contains(what, "spool/") {
			what = what[:strings.Index(what, "spool/")] + "spool/*"
		}
		if i := strings.Index(what, "socket:"); i >= 0 {
			what = what[:i] + "socket"
		}
		times[what]++
	}
	var lines []string
	for what, n := range times {
		lines = append(lines, fmt.Sprintf("%4d %s", n, what))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// The control of this level: a gateway whose writes are made to vanish acknowledges a message and loses it by a kill.
func TestAVanishedWriteIsSeenAfterAKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	taken := w.Domain("taken.test", partner.Behaviour{Fault: partner.Busy})
	b := breaking(t, w)
	b.startBroken(t)
	b.order(orderForget)
	l := newLetter("vanishing", 500)
	l.send(w, false, "anna@home.test", "a@taken.test")
	b.end()
	taken.Set(w.Good("mx.taken.test"))
	b.serve()
	if len(miscounted([]try{{l, "a@taken.test", true, ""}}, taken.Messages(), nil)) == 0 {
		t.Error("what was never written is not missed")
	}
}
