package crash

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
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
	acceptedAt int    // the 250
	endedAt    int    // trace says that it is delivered, or failed
	reportedAt int    // trace says that the report is delivered
	report     string // its Message-ID
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
		f.told(t, out.calls, s.w.Home().Messages())
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
func (f *fact) told(t *testing.T, calls []call, reports []partner.Message) {
	t.Helper()
	f.endedAt = first(t, calls, "the end of "+f.to, func(c call) bool {
		return tells("UNIX-STREAM", f.to, `"state":"delivered"`)(c) || tells("UNIX-STREAM", f.to, `"state":"failed"`)(c)
	})
	f.reportedAt = never
	if f.bounces() {
		f.reportedAt = first(t, calls, "the report to "+f.from, tells("UNIX-STREAM", `"to":"`+f.from, `"state":"delivered"`))
		if id := reportOf(reports, f.letter); id != "" {
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
		if f.told(t, out.calls, w.Home().Messages()); ended {
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

// witness opens surviving disks and says what is wrong with them.
type witness struct {
	w        *world
	patience time.Duration
	seen     map[[sha256.Size]byte]bool
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := cast(t)
	w.Configure()
	return &witness{w: w, patience: harness.Patience, seen: map[[sha256.Size]byte]bool{}}
}

// examine makes the disk that a power cut at a line leaves, starts the gateway on it and compares. It returns nothing at
// once when it has seen the same disk under the same demands.
func (v *witness) examine(s story, d *disk, at int, how survival, rng *rand.Rand) (wrong []string, examined bool) {
	v.w.T.Helper()
	if err := os.RemoveAll(v.w.data()); err != nil {
		v.w.T.Fatal(err)
	}
	if err := d.survive(v.w.data(), how, rng); err != nil {
		v.w.T.Fatal(err)
	}
	if key := v.fingerprint(s, at); v.seen[key] {
		return nil, false
	} else {
		v.seen[key] = true
	}
	arrived := len(v.w.Hosts["mx.taken.test"].Messages())
	arrivedLater := len(v.w.Hosts["mx.later.test"].Messages())
	reported := len(v.w.Home().Messages())
	if !v.w.Serves() {
		return []string{"the gateway does not start:\n" + lastLines(v.w.Log(), 3)}, true
	}
	defer v.w.Kill()
	if !v.w.drains(v.patience) {
		wrong = append(wrong, fmt.Sprintf("the queue does not become empty:\n%s\n%s", v.w.Postern("queue", "list"), lastLines(v.w.Log(), 3)))
	}
	messages := append(v.w.Hosts["mx.taken.test"].Messages()[arrived:], v.w.Hosts["mx.later.test"].Messages()[arrivedLater:]...)
	reports := v.w.Home().Messages()[reported:]
	traces := v.w.Traces("trace", "--limit", "10000")
	for _, f := range s.facts {
		wrong = append(wrong, f.wrong(at, messages, reports, traces)...)
	}
	inForce := -1
	if m := regexp.MustCompile(`rule-(\d+)`).FindStringSubmatch(v.w.Run("", "rules", "list").Stdout); m != nil {
		fmt.Sscan(m[1], &inForce) // digits
	}
	for i, line := range s.rules {
		if line < at && inForce < i+1 {
			wrong = append(wrong, fmt.Sprintf("rule-%d was told to be in force, and rule-%d is", i+1, inForce))
		}
	}
	return wrong, true
}

// wrong compares one letter with what a gateway started after the cut makes of it.
func (f fact) wrong(at int, messages, reports []partner.Message, traces []harness.Trace) (out []string) {
	says := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("%s to %s (250 at %d, end told at %d): ", f.letter.mark, f.to, f.acceptedAt, f.endedAt)+fmt.Sprintf(format, args...))
	}
	arrived := 0
	for _, m := range messages {
		if is, whole := f.letter.in(m); is {
			if arrived++; !whole {
				says("came in part")
			}
		}
	}
	var mine, about []harness.Trace
	for _, tr := range traces {
		if tr.To == f.to {
			mine = append(mine, tr)
		} else if tr.About == f.id {
			about = append(about, tr)
		}
	}
	end, wantReports := "delivered", 0
	if f.bounces() {
		end, wantReports = "failed", 1
	}
	switch {
	case len(mine) > 1:
		says("there are %d deliveries", len(mine))
	case len(mine) == 0 && f.acceptedAt < at:
		says("answered 250 and not there")
	case len(mine) == 1 && mine[0].State != end:
		says("it is %s, want %s", mine[0].State, end)
	case len(mine) == 1 && len(about) != wantReports:
		says("there are %d reports, want %d", len(about), wantReports)
	case f.endedAt < at && arrived > 0:
		says("told to be delivered, and sent again")
	case arrived > 1:
		says("came %d times", arrived)
	}
	if id := reportOf(reports, f.letter); id != "" && (f.reportedAt < at && f.bounces() || f.endedAt < at && id != f.report) {
		says("a second report goes out: %s, the first was %s", id, f.report)
	}
	return out
}

// fingerprint is that of the data folder as it lies there and of what is demanded of it.
func (v *witness) fingerprint(s story, at int) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range s.facts {
		fmt.Fprint(h, f.acceptedAt < at, f.endedAt < at, f.reportedAt < at)
	}
	for _, line := range s.rules {
		fmt.Fprint(h, line < at)
	}
	err := filepath.WalkDir(v.w.data(), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		fmt.Fprintf(h, "%s %d\n", p, len(b))
		h.Write(b)
		return err
	})
	if err != nil {
		v.w.T.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// trials examines surviving disks of a story: of all cuts, or of as many as it may.
func (s story) trials(t *testing.T, seed uint64, most int) {
	kindsOfLoss := []survival{nothing, some, newestTorn, some, everything}
	type trial struct {
		at  int
		how survival
	}
	var all []trial
	for _, at := range s.cuts() {
		for _, how := range kindsOfLoss {
			all = append(all, trial{at, how})
		}
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	if most < len(all) {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:most]
		slices.SortStableFunc(all, func(a, b trial) int { return a.at - b.at })
	}
	const workers = 2
	for worker := range workers {
		t.Run(fmt.Sprintf("witness %d", worker), func(t *testing.T) {
			t.Parallel()
			v := newWitness(t)
			d, left, examined, start := s.before(), moments(s.calls), 0, time.Now()
			for i, tr := range all {
				if i%workers != worker {
					continue
				}
				left = d.play(left, tr.at)
				wrong, new := v.examine(s, d, tr.at, tr.how, rand.New(rand.NewPCG(seed, uint64(i)+3)))
				for _, w := range wrong {
					t.Errorf("seed %d, trial %d: cut at line %d, %s survives: %s", seed, i, tr.at, tr.how, w)
				}
				if new {
					examined++
				}
			}
			if d.err != nil {
				t.Error(d.err)
			}
			t.Logf("%d disks of %d cuts, %d calls: %d different ones examined in %v", len(all)/workers, len(s.cuts()), len(s.calls), examined,
				time.Since(start).Round(time.Second))
		})
	}
}

// newSeed is a seed by chance, or that of POSTERN_SEED.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("POSTERN_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("POSTERN_SEED=%d", seed)
	return seed
}

func TestWhateverOfTheDiskSurvivesNothingIsLost(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	s := tell(t, seed, either(0, 6))
	s.trials(t, seed, either(16, 4000))
}

func TestWhateverOfTheDiskSurvivesACrashInRecoveryNothingIsLost(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	for range either(1, 4) {
		s := tell(t, seed, 0).recovery(t, seed)
		s.trials(t, seed, either(8, 1000))
		seed++
	}
}

// The controls of this level: recordings from which syncs are left out, all of them or only those of one thing. Each
// must lose something that was acknowledged.
func TestADiskWithoutSyncsIsNoticed(t *testing.T) {
	t.Parallel()
	s := tell(t, newSeed(t), 0)
	spool := s.before().root + "/spool"
	body := func(c call) bool { return strings.HasPrefix(c.on, spool+"/") }
	v := newWitness(t)
	v.patience = 3 * time.Second // mail without its body waits for ever
	for what, left := range map[string]func(call) bool{
		"all":             func(call) bool { return true },
		"of bodies":       body,
		"of their folder": func(c call) bool { return c.on == spool },
		"of the log":      func(c call) bool { return !body(c) && c.on != spool && c.on != s.before().root },
	} {
		cut := s
		cut.calls = slices.DeleteFunc(slices.Clone(s.calls), func(c call) bool {
			return (c.name == "fsync" || c.name == "fdatasync") && left(c)
		})
		if !cut.loses(v) {
			t.Errorf("the syncs %s are left out, and nothing is lost", what)
		}
	}
}

// lost is what witnesses say of a letter that is gone, and not of one that is only slow.
var lost = regexp.MustCompile(`^story-.*: (answered 250 and not there|it is held|came in part)|^the gateway does not start`)

// loses reports whether a cut while a large letter is on its way, of which nothing survives that was not synced, loses
// something.
func (s story) loses(v *witness) bool {
	v.w.T.Helper()
	d, left := s.before(), moments(s.calls)
	for _, at := range s.cuts() {
		left = d.play(left, at)
		for _, f := range s.facts {
			if len(f.letter.content) > 100_000 && f.acceptedAt < at && at <= f.endedAt {
				wrong, _ := v.examine(s, d, at, nothing, nil)
				if i := slices.IndexFunc(wrong, lost.MatchString); i >= 0 {
					v.w.T.Log(wrong[i])
					return true
				}
			}
		}
	}
	return false
}
