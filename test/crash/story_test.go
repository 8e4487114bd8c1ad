package crash

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// story is a recording of the gateway at work, with what it told whom, and when.
type story struct {
	before func() *disk
	calls  []call
	facts  []fact
	rules  []int // rule n was told to be in force at line rules[n-1]
}

// fact is one letter of a story. Lines are those where the telling began: earlier when that was before the story, never
// when nobody was told in it.
type fact struct {
	letter     letter
	id         string // the gateway's
	from, to   string
	acceptedAt int       // the 250
	arrived    time.Time // at its server; the zero time when it did not
	endedAt    int       // trace says that it is delivered, or failed
	reportedAt int       // trace says that the report is delivered
	report     string    // its Message-ID
}

// Lines before and after all others.
const (
	earlier = -1
	never   = math.MaxInt
)

func (f fact) bounces() bool { return strings.HasSuffix(f.to, "@refused.test") }

// scenes are what a story is made of.
func scenes() []func(*teller) {
	return []func(*teller){
		func(s *teller) { s.await(s.send("taken.test")) },
		func(s *teller) { s.await(s.send("refused.test")) },
		func(s *teller) { // one is put off, and goes at once when its server is repaired
			s.w.Hosts["mx.later.test"].Set(s.w.Answers("mx.later.test", "RCPT", "451 4.2.1 not now"))
			f := s.send("later.test")
			s.w.Await(f.to, harness.Waits("remote-4xx"))
			s.w.Hosts["mx.later.test"].Set(s.w.Good("mx.later.test"))
			s.w.Postern("queue", "retry")
			s.await(f)
		},
		func(s *teller) {
			s.changes++
			s.w.Apply(harness.Force(fmt.Sprintf("rule-%d", s.changes), `"elsewhere.test"`))
		},
		func(s *teller) { // several are accepted and on their way at the same time
			for _, f := range s.sendAtOnce("taken.test", "refused.test", "taken.test", "later.test") {
				s.await(f)
			}
		},
	}
}

// teller plays a story.
type teller struct {
	w       *world
	order   []int // of the kinds of letters
	facts   []fact
	changes int
}

// send sends a letter of the next kind to somebody in a domain.
func (s *teller) send(domain string) fact { return s.sendAtOnce(domain)[0] }

// sendAtOnce sends letters over a connection each, whose last pieces go side by side.
func (s *teller) sendAtOnce(domains ...string) []fact {
	s.w.T.Helper()
	var all []fact
	var clients []*harness.Client
	var pieces []string
	for _, domain := range domains {
		n := len(s.facts) + len(all)
		k := kinds()[s.order[n%len(s.order)]]
		f := fact{letter: newLetter(fmt.Sprintf("story-%d-%s", n, k.name), k.size), from: fmt.Sprintf("s%d@home.test", n),
			to: fmt.Sprintf("r%d@%s", n, domain)}
		c, piece := f.letter.offer(s.w, k.bdat, f.from, f.to)
		all, clients, pieces = append(all, f), append(clients, c), append(pieces, piece)
	}
	for i, c := range clients {
		c.Raw(pieces[i])
	}
	for i, c := range clients {
		all[i].id = queuedAs(c.Wants("250 2.0.0 Ok: queued as "))
	}
	s.facts = append(s.facts, all...)
	return all
}

// await waits until trace has told of the end of a letter, and of its report.
func (s *teller) await(f fact) {
	s.w.T.Helper()
	s.w.Await(f.to, harness.In("delivered", "failed"))
	if f.bounces() {
		s.w.Await(f.from, harness.In("delivered"))
	}
}

// tell plays every scene once in a random order, and more of them.
func tell(t *testing.T, seed uint64, more int) story {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	w := cast(t)
	w.Settings["delivery.idle_time"] = "0" // a session goes on as its server was when it began
	s := &teller{w: w, order: rng.Perm(len(kinds()))}
	path := record(t, s.w)
	s.w.Start("")
	all := scenes()
	for _, i := range rng.Perm(len(all)) {
		all[i](s)
	}
	for range more {
		all[rng.IntN(len(all))](s)
	}
	s.w.Kill()
	root := s.w.data()
	out := story{before: func() *disk { return newDisk(root) }, calls: recorded(t, path), facts: s.facts}
	for i := range out.facts {
		f := &out.facts[i]
		f.acceptedAt = first(t, out.calls, "the 250", tells("TCP", "250 ", f.id))
		f.told(t, out.calls, s.w)
	}
	for n := range s.changes {
		asked := first(t, out.calls, "a change of rules", func(c call) bool {
			said, _ := c.text()
			return c.name == "read" && strings.HasPrefix(c.on, "UNIX") && strings.Contains(strings.Join(said, ""), fmt.Sprintf("rule-%d", n+1))
		})
		out.rules = append(out.rules, first(t, out.calls, "its answer", func(c call) bool {
			return c.begin > asked && tells("UNIX-STREAM", "HTTP/1.1 200")(c)
		}))
	}
	return out
}

// told finds in a recording when trace told of the end of a letter, and the report about it.
func (f *fact) told(t *testing.T, calls []call, w *world) {
	t.Helper()
	if f.arrived.IsZero() {
		f.arrived = f.arrival(w)
	}
	f.endedAt = first(t, calls, "the end of "+f.to, func(c call) bool {
		return tells("UNIX-STREAM", f.to, `"state":"delivered"`)(c) || tells("UNIX-STREAM", f.to, `"state":"failed"`)(c)
	})
	f.reportedAt = never
	if f.bounces() {
		f.reportedAt = first(t, calls, "the report to "+f.from, tells("UNIX-STREAM", `"to":"`+f.from, `"state":"delivered"`))
		if id := reportOf(w.Home().Messages(), f.letter); id != "" {
			f.report = id
		}
	}
}

// recovery is the story of a start on what a power cut left of another story, in the middle of much mail.
func (s story) recovery(t *testing.T, seed uint64) story {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 4))
	open := func(at int) (n int) {
		for _, f := range s.facts {
			if f.acceptedAt < at && f.endedAt >= at {
				n++
			}
		}
		return n
	}
	cuts := s.cuts()
	rng.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
	at := slices.MaxFunc(cuts, func(a, b int) int { return open(a) - open(b) })
	cut := s.time(at)
	t.Logf("cut at line %d with %d letters on their way", at, open(at))
	w := cast(t)
	image := filepath.Join(w.Dir, "before")
	d := s.before()
	d.play(moments(s.calls), at)
	if err := d.survive(image, some, rng); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(w.data(), os.DirFS(image)); err != nil {
		t.Fatal(err)
	}
	path := record(t, w)
	w.Start("")
	w.drained()
	out := story{before: func() *disk { return diskFrom(t, w.data(), image) }, facts: slices.Clone(s.facts)}
	tl := &teller{w: w}
	for _, f := range out.facts {
		if f.acceptedAt < at {
			tl.await(f)
		}
	}
	w.Kill()
	out.calls = recorded(t, path)
	for i := range out.facts {
		f := &out.facts[i]
		if f.acceptedAt >= at {
			f.acceptedAt, f.endedAt, f.reportedAt = never, never, never
			continue
		}
		ended, reported := f.endedAt < at, f.reportedAt < at
		f.acceptedAt = earlier
		if f.arrived.After(cut) {
			f.arrived = time.Time{} // that was after the cut: it never happened
		}
		if f.told(t, out.calls, w); ended {
			f.endedAt = earlier
		}
		if reported {
			f.reportedAt = earlier
		}
	}
	for _, line := range s.rules {
		if line < at {
			out.rules = append(out.rules, earlier)
		}
	}
	return out
}

// arrival is when a letter came to its server, the zero time when it did not.
func (f fact) arrival(w *world) time.Time {
	for _, host := range []string{"mx.taken.test", "mx.later.test"} {
		for _, m := range w.Hosts[host].Messages() {
			if is, _ := f.letter.in(m); is {
				return m.At
			}
		}
	}
	return time.Time{}
}

// time is when a line was written: at most so late as the first call that begins there or later.
func (s story) time(line int) time.Time {
	for _, c := range s.calls {
		if c.begin >= line {
			return c.when
		}
	}
	return s.calls[len(s.calls)-1].when
}

// reportOf is the Message-ID of the newest report about a letter, "" for none.
func reportOf(reports []partner.Message, l letter) (id string) {
	for _, m := range reports {
		if strings.Contains(m.Data, "Subject: "+l.mark+".\r\n") {
			id = ownIDs.FindStringSubmatch(m.Data)[1]
		}
	}
	return id
}

// cuts are the moments before each call that changes the data folder, and the end.
func (s story) cuts() []int {
	d := s.before()
	var out []int
	for _, c := range s.calls {
		switch c.name {
		case "write", "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync", "ftruncate", "fallocate", "openat",
			"rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "truncate":
		default:
			continue
		}
		on := c.on
		if c.fd < 0 {
			on = pathOf(&c)
		}
		if rel, ok := d.inside(on); ok && !harmless(rel) && !strings.HasPrefix(rel, "postern.sock") {
			out = append(out, c.begin)
		}
	}
	return append(out, s.calls[len(s.calls)-1].begin+1)
}
