package schedule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// crowd plays many sites of all kinds, with hosts that hang, against the bounds of a Scheduler.
type crowd struct {
	t      *testing.T
	s      *Scheduler
	random *rand.Rand
	now    time.Time
	seed   uint64
	places []*Place
	ends   map[*Place]time.Time
}

func newCrowd(t *testing.T, cfg Config, seed uint64) *crowd {
	cfg.OwnSite = func(site string) bool { return strings.HasPrefix(site, "own") }
	return &crowd{t: t, s: New(cfg, seed), random: rand.New(rand.NewPCG(seed, 2)), now: start, seed: seed,
		ends: map[*Place]time.Time{}}
}

// check holds the records of the scheduler against each other and against the bounds.
func (c *crowd) check() {
	c.t.Helper()
	s := c.s
	var count [parts]int
	working, other := map[*family]int{}, map[*family]int{}
	for _, p := range s.held {
		count[p.part]++
		for _, f := range p.target {
			switch {
			case f == nil || p.part == overtime:
			case p.part == works:
				working[f]++
			default:
				other[f]++
			}
		}
	}
	total := len(s.held) - count[overtime]
	unproven := count[tries] + count[slow] + count[reports]
	if total > s.cfg.Total || unproven > s.cfg.Unproven {
		c.t.Fatalf("seed %d: %d places of %d, %d unproven of %d", c.seed, total, s.cfg.Total, unproven, s.cfg.Unproven)
	}
	for k, n := range count {
		if n != s.pools[k].running || n > s.bounds.most[k] {
			c.t.Fatalf("seed %d: part %d holds %d, counts %d, bound %d", c.seed, k, n, s.pools[k].running, s.bounds.most[k])
		}
	}
	for _, f := range s.families {
		if f.working != working[f] || f.other != other[f] {
			c.t.Fatalf("seed %d: family %s counts %d and %d, holds %d and %d", c.seed, f.name, f.working, f.other, working[f], other[f])
		}
	}
}

// step lets something random happen.
func (c *crowd) step(hang bool) {
	if c.random.IntN(3) > 0 {
		kind := []string{"own", "mx"}[c.random.IntN(5)/4^1]
		site := fmt.Sprint(kind, c.random.IntN(200))
		c.s.Added(site, c.now, Origin{Lane: 1 + c.random.Uint32N(6), Report: c.random.IntN(4) == 0})
	}
	for _, p := range append([]*Place(nil), c.places...) {
		if !c.ends[p].After(c.now) {
			c.end(p, c.random.IntN(3) > 0)
		} else if c.random.IntN(20) == 0 {
			c.happen(p)
		}
	}
	c.start(hang)
	c.rouse()
	for _, p := range c.s.Evict() {
		if p.sent {
			c.t.Fatalf("seed %d: a place is taken away where a message was sent", c.seed)
		}
		c.ends[p] = c.now.Add(time.Millisecond)
	}
	c.check()
	c.now = c.now.Add(time.Duration(c.random.Int64N(int64(time.Second))))
}

func (c *crowd) start(hang bool) {
	for {
		p, ok := c.s.Next(c.now)
		if !ok {
			return
		}
		c.check()
		c.places = append(c.places, p)
		last := int64(2 * time.Second)
		if hang && c.random.IntN(2) == 0 {
			last = int64(10 * time.Minute)
		}
		c.ends[p] = c.now.Add(time.Duration(c.random.Int64N(last)))
		o := Origin{Lane: p.lane, Report: c.random.IntN(4) == 0}
		if !c.s.Claimed(p, c.random.IntN(3) == 0, o, c.now) || !c.enter(p) {
			c.done(p, Result{Now: c.now, Due: c.now})
		}
	}
}

// rouse has those that wait for more claim. Afterwards nothing is due beside one that waits, and Wake says when
// something is.
func (c *crowd) rouse() {
	for _, p := range c.s.Rouse() {
		if !p.Lingers() {
			c.t.Fatalf("seed %d: one is roused that does not wait", c.seed)
		}
		c.s.Linger(p, false, c.now)
		if c.s.Claimed(p, false, Origin{Lane: p.lane}, c.now); c.random.IntN(2) == 0 {
			c.s.Linger(p, true, c.now)
		}
	}
	for _, p := range c.s.held {
		if !p.idle || p.evicted || p.site.failures > 0 || len(p.site.dues) == 0 {
			continue
		}
		due := p.site.dues[0].time()
		if wake, ok := c.s.Wake(); !due.After(c.now) || !ok || wake.After(due) {
			c.t.Fatalf("seed %d: at %s mail is due beside a place that waits, at %v and is looked for at %v", c.seed, p.Site(), due, wake)
		}
	}
	c.check()
}

func (c *crowd) enter(p *Place) bool {
	return c.s.Enter(p, fmt.Sprint("addr", c.random.IntN(30)), fmt.Sprint("host", c.random.IntN(10)))
}

// happen is progress of a worker.
func (c *crowd) happen(p *Place) {
	switch c.random.IntN(6) {
	case 0:
		if !p.Lingers() {
			c.s.Sent(p)
		}
	case 1:
		c.s.Progress(p, c.random.IntN(4) > 0, c.random.IntN(2) == 0, c.now)
	case 2:
		c.s.Moving(p, c.now)
	case 3:
		c.s.Linger(p, true, c.now)
	case 4:
		c.s.Linger(p, false, c.now)
	case 5:
		c.enter(p)
	}
	c.check()
}

func (c *crowd) end(p *Place, passed bool) {
	if passed {
		c.s.Progress(p, true, false, c.now)
		c.check()
	}
	c.done(p, Result{Now: c.now, Passed: passed, Failed: !passed, Due: c.now})
}

func (c *crowd) done(p *Place, r Result) {
	for i := range c.places {
		if c.places[i] == p {
			c.places = append(c.places[:i], c.places[i+1:]...)
			break
		}
	}
	delete(c.ends, p)
	c.s.Done(p, r)
	c.check()
}

// drain ends everything; nothing may be left waiting or counted.
func (c *crowd) drain() {
	for range 5000 {
		for _, p := range append([]*Place(nil), c.places...) {
			c.s.Progress(p, true, false, c.now)
			c.done(p, Result{Now: c.now, Passed: true})
		}
		for {
			p, ok := c.s.Next(c.now)
			if !ok {
				break
			}
			c.places = append(c.places, p)
		}
		c.now = c.now.Add(time.Minute)
		if len(c.places) == 0 && c.s.timers.Len() == 0 {
			break
		}
	}
	left := 0
	for k := range c.s.pools {
		left += c.s.pools[k].waiting + c.s.pools[k].running + len(c.s.pools[k].lanes)
	}
	if left+len(c.s.families)+len(c.s.held) > 0 {
		c.t.Fatalf("seed %d: %d wait, %d families, %d places are left", c.seed, left, len(c.s.families), len(c.s.held))
	}
	for _, e := range c.s.sites {
		if len(e.dues) > 0 {
			c.t.Fatalf("seed %d: %s was forgotten with mail", c.seed, e.name)
		}
	}
}

func TestBoundsHoldInRandomCrowds(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() { // under the race detector, which has nothing to find here
		seeds = 6
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		total := []int{1, 2, 5, 10, 40, 200}[seed%6]
		c := newCrowd(t, Config{Total: total, PerSite: 1 + int(seed%5)}, seed)
		for i := range 1500 {
			c.step(i > 300)
		}
		c.drain()
	}
}

// The shares of every total add up, and no part is left without a place.
func TestEveryTotalCanBeDivided(t *testing.T) {
	for total := 1; total <= 400; total++ {
		for _, cfg := range []Config{{Total: total}, {Total: total, Own: total, Unproven: total}, {Total: total, Own: 1, Unproven: 1},
			{Total: total, Unproven: total}, {Total: total, Reports: total, Family: total}} {
			cfg = cfg.withDefaults()
			b := cfg.bounds()
			least, unproven := 0, 0
			for k := range overtime {
				least += b.least[k]
				if k.unproven() {
					unproven += b.least[k]
				}
				if b.most[k] < 1 || b.least[k] < 0 || b.least[k] > b.most[k] {
					t.Errorf("%+v: part %d has between %d and %d", cfg, k, b.least[k], b.most[k])
				}
			}
			if least > total || unproven > cfg.Unproven || cfg.Family < 1 {
				t.Errorf("%+v: %d are kept, %d of them unproven", cfg, least, unproven)
			}
		}
	}
}

func TestTheDefaultSharesOfTwoHundred(t *testing.T) {
	c := Config{Total: 200}.withDefaults()
	if c.Own != 20 || c.Unproven != 100 || c.Reports != 25 || c.Family != 20 || c.Overtime != 200 || c.SlowAfter != 10*time.Second ||
		c.Lately != 7*24*time.Hour || c.Remembered != 50_000 {
		t.Errorf("the defaults are %+v", c)
	}
	want := bounds{
		least: [parts]int{own: 10, ownSlow: 10, works: 40, tries: 25, slow: 10, reports: 5},
		most:  [parts]int{own: 200, ownSlow: 10, works: 200, tries: 100, slow: 50, reports: 25, overtime: 200},
	}
	if got := c.bounds(); got != want {
		t.Errorf("the bounds are %+v, want %+v", got, want)
	}
}

// fill starts all that may start of n new sites of a lane.
func (c *crowd) fill(prefix string, n int, o Origin) (places []*Place) {
	for i := range n {
		c.s.Added(fmt.Sprint(prefix, i), c.now, o)
	}
	for {
		p, ok := c.s.Next(c.now)
		if !ok {
			return places
		}
		c.s.Claimed(p, false, o, c.now)
		places = append(places, p)
	}
}

func TestReportsHaveTheirShareAndNoMore(t *testing.T) {
	c := newCrowd(t, Config{Total: 200}, 1)
	if n := len(c.fill("victim", 1000, Origin{Lane: 1, Report: true})); n > 25 || n < 10 {
		t.Errorf("%d reports to strangers are under way", n)
	}
	if n := len(c.fill("new", 1, Origin{Lane: 2})); n != 1 {
		t.Error("mail waits behind reports")
	}
	// What the store did not tell: after a restart a report is known as one only when it is claimed.
	c = newCrowd(t, Config{Total: 200}, 1)
	for i := range 1000 {
		c.s.Load(fmt.Sprint("victim", i), start, 0, time.Time{}, time.Time{})
	}
	kept := 0
	for {
		p, ok := c.s.Next(c.now)
		if !ok {
			break
		}
		if c.s.Claimed(p, false, Origin{Lane: 1, Report: true}, c.now) {
			kept++
		} else {
			c.s.Done(p, Result{Now: c.now, Due: c.now})
		}
	}
	if kept > 25 || kept < 10 {
		t.Errorf("after a restart %d reports to strangers are under way", kept)
	}
	c.check()
}

func TestASuccessWithAReportDoesNotMakeASiteOneThatWorks(t *testing.T) {
	for _, report := range []bool{true, false} {
		c := newCrowd(t, Config{Total: 200}, 1)
		p := c.fill("a", 1, Origin{Lane: 1, Report: report})[0]
		c.s.Progress(p, true, report, c.now)
		c.s.Done(p, Result{Now: c.now, Passed: true})
		if e := c.s.sites["a0"]; (e != nil && c.s.partOf(e) == works) == report {
			t.Errorf("report %v: the site is %+v", report, e)
		}
	}
}

func TestOneSubmitterLeavesHalfToTheNext(t *testing.T) {
	c := newCrowd(t, Config{Total: 200}, 1)
	first := len(c.fill("dead", 500, Origin{Lane: 1}))
	second := len(c.fill("also", 500, Origin{Lane: 2}))
	if first < 20 || first > 50 || second < 10 {
		t.Errorf("the first has %d places, the second %d", first, second)
	}
	if n := len(c.fill("new", 1, Origin{Lane: 3})); n != 1 {
		t.Error("the third has none")
	}
}

func TestASlowPlaceIsPutAsideAndAtLastTakenAway(t *testing.T) {
	c := newCrowd(t, Config{Total: 200}, 1)
	c.fill("dead", 500, Origin{Lane: 1})
	c.now = c.now.Add(10*time.Second - 1)
	if p, ok := c.s.Next(c.now); ok {
		t.Fatalf("%s starts", p.Site())
	}
	if out := c.s.Evict(); len(out) > 0 {
		t.Fatal("places are taken away before they are slow")
	}
	expectWake(t, &named{Scheduler: c.s}, after(10*time.Second))
	c.now = after(10 * time.Second)
	more := c.fill("dead", 0, Origin{})
	if n := c.s.pools[slow].running; n < 20 || n > 50 || len(more) == 0 {
		t.Errorf("%d slow places, %d more tries", n, len(more))
	}
	out := c.s.Evict()
	if len(out) == 0 {
		t.Fatal("slow places keep others waiting")
	}
	for _, p := range out {
		if p.part != tries || c.now.Sub(start) < 10*time.Second {
			t.Errorf("a place of part %d is taken away", p.part)
		}
	}
	if again := c.s.Evict(); len(again) > 0 {
		t.Error("named twice")
	}
}

func TestWhatWasSentIsNeverTakenAway(t *testing.T) {
	c := newCrowd(t, Config{Total: 10, Overtime: 3}, 1)
	for _, p := range c.fill("dead", 50, Origin{Lane: 1}) {
		c.s.Sent(p)
	}
	for range 20 {
		c.now = c.now.Add(10 * time.Second)
		for _, p := range c.fill("dead", 0, Origin{Lane: 1}) {
			c.s.Sent(p)
		}
		if len(c.s.Evict()) > 0 {
			t.Fatal("taken away")
		}
		c.check()
	}
	if n := c.s.pools[overtime].running; n == 0 || n > 3 {
		t.Errorf("%d are in overtime", n)
	}
}

func TestASiteThatWasSlowIsNotOneThatWorksUntilAMessageIsQuick(t *testing.T) {
	c := newCrowd(t, Config{Total: 200}, 1)
	c.s.TookMail("a0", after(-time.Hour))
	p := c.fill("a", 1, Origin{Lane: 1})[0]
	if p.part != works {
		t.Fatalf("it starts in part %d", p.part)
	}
	c.s.Sent(p)
	c.now = c.now.Add(10 * time.Second)
	c.s.Next(c.now)
	if p.part != overtime {
		t.Fatalf("after a while it is in part %d", p.part)
	}
	c.s.Progress(p, true, false, c.now) // it was taken at last
	if p.part != slow {
		t.Fatalf("after the answer it is in part %d", p.part)
	}
	c.s.Progress(p, true, false, c.now.Add(time.Second))
	if p.part != works {
		t.Fatalf("after a quick message it is in part %d", p.part)
	}
}

func TestContentThatMovesIsNotSlow(t *testing.T) {
	c := newCrowd(t, Config{Total: 200}, 1)
	c.s.TookMail("a0", after(-time.Hour))
	p := c.fill("a", 1, Origin{Lane: 1})[0]
	for range 100 {
		c.now = c.now.Add(9 * time.Second)
		c.s.Moving(p, c.now)
		c.s.Next(c.now)
		if p.part != works {
			t.Fatalf("it is in part %d after %v", p.part, c.now.Sub(start))
		}
	}
}

func TestAFamilyHasABoundAndItsSitesWaitWithoutAPlace(t *testing.T) {
	c := newCrowd(t, Config{Total: 200}, 1)
	in, lane := 0, uint32(0)
	for started := c.fill("d", 100, Origin{Lane: 1}); len(started) > 0; lane++ {
		for _, p := range started {
			if c.s.Enter(p, "192.0.2.1", fmt.Sprint("mx.", p.Site())) {
				in++
				continue
			}
			c.s.Done(p, Result{Now: c.now, Due: c.now})
		}
		started = c.fill(fmt.Sprintf("e%d-", lane), max(0, 3-int(lane)), Origin{Lane: lane + 2})
	}
	if in != 20 || len(c.s.held) > 20 {
		t.Fatalf("%d are in the family, %d places are held", in, len(c.s.held))
	}
	if p, ok := c.s.Next(c.now); ok {
		t.Fatalf("%s is tried again at once", p.Site())
	}
	waiting := c.s.families["192.0.2.1"].waiting.n
	c.s.Done(c.s.held[0], Result{Now: c.now, Failed: true})
	p, ok := c.s.Next(c.now)
	if !ok || c.s.families["192.0.2.1"].waiting.n != waiting-1 {
		t.Fatal("nobody is woken when a place of the family is free")
	}
	c.s.Done(p, Result{Now: c.now, Passed: true}) // did not need it
	if _, ok := c.s.Next(c.now); !ok {
		t.Fatal("the place that was not needed is lost")
	}
}

func TestOurOwnServersKeepTheirPlaces(t *testing.T) {
	c := newCrowd(t, Config{Total: 200}, 1)
	for i := range 500 {
		c.s.TookMail(fmt.Sprint("mx", i), after(-time.Hour))
	}
	for lane := range uint32(100) {
		c.fill(fmt.Sprintf("never%d-", lane), 20, Origin{Lane: 100 + lane})
		c.fill(fmt.Sprintf("report%d-", lane), 5, Origin{Lane: 100 + lane, Report: true})
		for i := range 5 {
			c.s.Added(fmt.Sprint("mx", int(lane)*5+i), c.now, Origin{Lane: 1000 + lane})
		}
	}
	c.fill("", 0, Origin{})
	if n := len(c.fill("own", 15, Origin{Lane: 5})); n < 10 {
		t.Errorf("%d workers for our own servers", n)
	}
	c.check()
	// One of them that fails has a place too.
	c.s.Load("own-fails", start, 3, start, start)
	if p, ok := c.s.Next(c.now); !ok || p.part != ownSlow {
		t.Error("a probe of our own server finds no place")
	}
}

func TestWhatTookMailIsForgottenInTimeAndWithinBounds(t *testing.T) {
	s := New(Config{Lately: 24 * time.Hour, Remembered: 100}, 1)
	for i := range 1000 {
		s.TookMail(fmt.Sprint("mx", i), after(-time.Duration(i)*time.Second))
	}
	s.Next(start)
	if s.Sites() != 100 || s.sites["mx0"] == nil {
		t.Errorf("%d sites are remembered, and the newest is %v", s.Sites(), s.sites["mx0"])
	}
	s.Next(after(24 * time.Hour))
	if s.Sites() != 0 {
		t.Errorf("%d sites are remembered for ever", s.Sites())
	}
}
