package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/smtp"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// load is clients that never stop sending. Each message goes to the same recipients, as a rule one in each of four
// domains:
//
//	a@taken.test     whose server takes it
//	b@refused.test   whose server refuses him
//	c@expired.test   whose mail is forced, and whose server never proves itself: he can only be bounced
//	d@sealed.test    whose mail is forced, and whose server proves itself
//
// Every tenth message is one that the gateway refuses for its content.
type load struct {
	addr  string
	to    []string
	ended chan struct{}
	wg    *sync.WaitGroup
	mu    *sync.Mutex // guards what follows

	accepted []string // the marks of messages that were answered 250
	refused  []string // of messages that were answered with an error
	unknown  []string // of messages whose connection broke before there was an answer
	codes    map[int]int
}

// ticked lets the other recipients of a message go as they can.
const ticked = `unspecified_recipients = "opportunistic"`

// recipients are those of a load's messages.
func recipients() []string {
	return []string{"a@taken.test", "b@refused.test", "c@expired.test", "d@sealed.test"}
}

// startLoad sends until it is stopped, to those of a load where nobody else is named.
func startLoad(addr string, clients int, to ...string) *load {
	if to == nil {
		to = recipients()
	}
	l := &load{addr: addr, to: to, ended: make(chan struct{}), wg: &sync.WaitGroup{}, mu: &sync.Mutex{}, codes: map[int]int{}}
	for n := range clients {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.ended:
					return
				case <-time.After(5 * time.Millisecond):
				}
				l.one(fmt.Sprintf("mark-%d-%d", n, i), i%10 == 9)
			}
		})
	}
	return l
}

func (l *load) stop() {
	close(l.ended)
	l.wg.Wait()
}

// one sends one message and notes what became of it.
func (l *load) one(mark string, bad bool) {
	_, err := l.message(mark, bad)
	refusal, answered := errors.AsType[*textproto.Error](err)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.accepted = append(l.accepted, mark)
		l.codes[250]++
	case answered:
		l.refused = append(l.refused, mark)
		l.codes[refusal.Code]++
	default:
		l.unknown = append(l.unknown, mark)
	}
}

// message sends one message and returns the reply to it. An error that is no textproto.Error leaves open what became
// of the message.
func (l *load) message(mark string, bad bool) (reply string, err error) {
	c, err := smtp.Dial(l.addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.Mail("anna@home.test"); err != nil {
		return "", err
	}
	for _, to := range l.to {
		if err := c.Rcpt(to); err != nil {
			return "", err
		}
	}
	if _, err := c.Text.Cmd("DATA"); err != nil {
		return "", err
	}
	if _, _, err := c.Text.ReadResponse(354); err != nil {
		return "", err
	}
	content := newLetter(mark, rand.IntN(4000)).content
	if rand.IntN(20) == 0 {
		content = newLetter(mark, 200_000).content
	}
	if bad {
		content = strings.Repeat("Received: from a.test by b.test; Mon, 02 Jan 2006 15:04:05 +0000\r\n", 60) + content
	}
	if _, err := c.Text.W.WriteString(content + ".\r\n"); err != nil {
		return "", err
	}
	if err := c.Text.W.Flush(); err != nil {
		return "", err
	}
	_, reply, err = c.Text.ReadResponse(250)
	return reply, err
}

// count is how many messages had a reply.
func (l *load) count(code int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.codes[code]
}

// acceptedByNow are the marks of messages that were answered 250 before this moment.
func (l *load) acceptedByNow() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.accepted)
}

func (l *load) String() string {
	return fmt.Sprintf("%d messages were accepted, %d refused, of %d nobody knows (replies %v)",
		len(l.accepted), len(l.refused), len(l.unknown), l.codes)
}

// drained waits until nothing moves in the queue any more. What is held stays: it is found missing where it should be.
func (w *world) drained() {
	w.T.Helper()
	harness.Eventually(w.T, time.Duration(either(1, 10))*time.Minute, "the queue is empty", func() bool {
		list := w.Run("", "queue", "list", "--json") // just after a start nobody may answer yet
		return list.Code == 0 && strings.Count(list.Stdout, "\n") == strings.Count(list.Stdout, `"state":"held"`)
	})
}

// check fails the test for all that is wrong.
func (l *load) check(w *world, kills []time.Time) {
	w.T.Helper()
	for _, wrong := range l.wrong(w, kills) {
		w.T.Error(wrong)
	}
}

// wrong compares what was answered with what came, after the queue has become empty: what is lost, came again without a
// kill that explains it, was reported twice or never, came though it was refused, or took a way it must not take.
func (l *load) wrong(w *world, kills []time.Time) (out []string) {
	for _, host := range []string{"mx.taken.test", "mx.sealed.test"} {
		out = append(out, l.arrivals(host, w.Hosts[host].Messages(), kills)...)
	}
	out = append(out, l.reports(w.Home().Messages())...)
	for host, proven := range map[string]bool{"mx.taken.test": true, "mx.expired.test": false, "mx.sealed.test": true, "mail.home.test": true} {
		if lines := harness.Forbidden(w.Hosts[host], proven); len(lines) > 0 {
			out = append(out, fmt.Sprintf("%s heard what it must not: %.300q", host, lines))
		}
	}
	if lines := harness.Forbidden(w.Hosts["trap.test"], false); len(lines) > 0 {
		out = append(out, fmt.Sprintf("forced mail reached the trap: %.300q", lines))
	}
	return out
}

var marks = regexp.MustCompile(`(?m)^Subject: (mark-[-a-z0-9]+)\.\r$`)

// arrivals checks that every accepted message came whole, and came again only where a kill explains it.
func (l *load) arrivals(host string, messages []partner.Message, kills []time.Time) (out []string) {
	came := map[string][]time.Time{}
	for _, m := range messages {
		mark := marks.FindStringSubmatch(m.Data)
		if mark == nil {
			out = append(out, fmt.Sprintf("%s has a message that nobody sent:\n%.500s", host, m.Data))
			continue
		}
		end := mark[1] + "-end."
		if !strings.HasSuffix(m.Data, strings.Repeat(end+"\r\n", 3)) || !strings.Contains(m.Data, mark[1]+"-middle.") {
			out = append(out, fmt.Sprintf("%s has only a part of %s", host, mark[1]))
		}
		came[mark[1]] = append(came[mark[1]], m.At)
	}
	for _, mark := range l.accepted {
		if len(came[mark]) == 0 {
			out = append(out, fmt.Sprintf("%s was answered 250 and never came to %s", mark, host))
		}
	}
	for _, mark := range l.refused {
		if len(came[mark]) != 0 {
			out = append(out, fmt.Sprintf("%s was refused and came to %s", mark, host))
		}
	}
	return append(out, again(host, came, kills)...)
}

// reading is how late a busy partner may note what was sent before a kill.
const reading = time.Second

// again checks second arrivals: between the two there was a kill, and each kill explains one for each connection.
func again(host string, came map[string][]time.Time, kills []time.Time) (out []string) {
	explained := make([]int, len(kills))
	for mark, times := range came {
		slices.SortFunc(times, time.Time.Compare)
		for i := 1; i < len(times); i++ {
			k := slices.IndexFunc(kills, times[i-1].Before)
			if k < 0 || !kills[k].Before(times[i]) { // noted late, perhaps: then it was the kill just before
				if k < 0 {
					k = len(kills)
				}
				k--
			}
			if k < 0 || times[i-1].Sub(kills[k]) > reading {
				out = append(out, fmt.Sprintf("%s came to %s twice, at %v and %v, with no kill between", mark, host, times[i-1], times[i]))
				continue
			}
			explained[k]++
		}
	}
	for k, n := range explained {
		if n > connections {
			out = append(out, fmt.Sprintf("after kill %d %s had %d messages again, and there are %d connections", k, host, n, connections))
		}
	}
	return out
}

var finalRcpts = regexp.MustCompile(`(?m)^Final-Recipient: rfc822; (\S+)\r$`)

// reports checks that each accepted message was reported once for each recipient that failed, and no other. One report
// may travel twice, as any mail; two reports may not say the same.
func (l *load) reports(messages []partner.Message) (out []string) {
	told := map[string]map[string]bool{} // mark and recipient: the reports' ids
	for _, m := range messages {
		mark, id := marks.FindStringSubmatch(m.Data), ownIDs.FindStringSubmatch(m.Data)
		if mark == nil || id == nil {
			out = append(out, fmt.Sprintf("a report without what it is about:\n%.500s", m.Data))
			continue
		}
		for _, to := range finalRcpts.FindAllStringSubmatch(m.Data, -1) {
			key := mark[1] + " " + to[1]
			if told[key] == nil {
				told[key] = map[string]bool{}
			}
			told[key][id[1]] = true
		}
	}
	failing := []string{"b@refused.test", "c@expired.test"}
	for _, mark := range l.accepted {
		for _, to := range failing {
			if n := len(told[mark+" "+to]); n != 1 {
				out = append(out, fmt.Sprintf("%s: %d reports about %s, want 1", mark, n, to))
			}
			delete(told, mark+" "+to)
		}
	}
	for key, ids := range told {
		mark, to, _ := strings.Cut(key, " ")
		if !slices.Contains(l.unknown, mark) || !slices.Contains(failing, to) || len(ids) != 1 {
			out = append(out, fmt.Sprintf("%d reports about %s, which nobody should have", len(ids), key))
		}
	}
	return out
}
