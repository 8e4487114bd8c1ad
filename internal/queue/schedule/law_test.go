package schedule

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// world plays stores, workers and time against a Scheduler and checks its laws after every step.
type world struct {
	t       *testing.T
	cfg     Config
	s       *named
	random  *rand.Rand
	now     time.Time
	waiting map[string][]time.Time // dues of what waits at each site, the truth
	state   map[string]State
	workers []worker
	kicked  map[string]bool
	broken  map[string]bool
	seed    uint64
	jumpy   bool // the clock goes back now and then
}

type worker struct {
	site  string
	probe bool
	took  []time.Time
	ends  time.Time
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d at +%v: %s", w.seed, w.now.Sub(start), fmt.Sprintf(format, args...))
}

func (w *world) at(site string) (n, probes int) {
	for _, x := range w.workers {
		if x.site == site {
			n++
			if x.probe {
				probes++
			}
		}
	}
	return n, probes
}

// startAll starts every worker that may start now.
func (w *world) startAll() {
	for {
		site, probe, ok := w.s.Next(w.now)
		if !ok {
			return
		}
		if probe != (w.state[site].Failures > 0) {
			w.fail("%s: probe=%v with %d failures", site, probe, w.state[site].Failures)
		}
		if probe && w.now.Before(w.state[site].RetryAt) && !w.kicked[site] {
			w.fail("%s: probe before its time", site)
		}
		delete(w.kicked, site)
		x := worker{site: site, probe: probe, ends: w.now.Add(time.Duration(w.random.Int64N(int64(2 * time.Minute))))}
		full := false
		x.took, full = w.claim(site)
		w.workers = append(w.workers, x)
		if n, probes := w.at(site); n > w.cfg.PerSite || probes > 1 || probes == 1 && n > 1 {
			w.fail("%s has %d workers, %d probes", site, n, probes)
		}
		if len(w.workers) > w.cfg.Total {
			w.fail("%d workers, limit %d", len(w.workers), w.cfg.Total)
		}
		w.s.Claimed(site, full, w.now)
	}
}

// claim takes up to three waiting deliveries that are due, or that only another clock can have put off so far.
func (w *world) claim(site string) (took []time.Time, full bool) {
	var rest []time.Time
	longest := time.Hour // of end
	for _, due := range w.waiting[site] {
		if len(took) < 3 && (!due.After(w.now) || due.After(w.now.Add(longest))) {
			took = append(took, due)
		} else {
			rest = append(rest, due)
		}
	}
	w.waiting[site] = rest
	return took, len(took) == 3
}

// end ends worker i in a random way and checks the state that comes back.
func (w *world) end(i int) {
	x := w.workers[i]
	w.workers = slices.Delete(w.workers, i, i+1)
	r := Result{Now: w.now}
	if len(x.took) > 0 {
		r.Failed = w.broken[x.site]
		r.Passed = !r.Failed
	}
	for _, due := range x.took {
		if r.Failed || w.random.IntN(4) == 0 {
			due = w.now.Add(time.Duration(w.random.Int64N(int64(time.Hour))))
			w.waiting[x.site] = append(w.waiting[x.site], due)
			if r.Due.IsZero() || due.Before(r.Due) {
				r.Due = due
			}
			w.s.Added(x.site, due) // the dispatcher may tell of each or of the earliest
		}
	}
	before, after := w.state[x.site], w.s.Done(x.site, r)
	w.checkState(x, r, before, after)
	w.state[x.site] = after
}

func (w *world) checkState(x worker, r Result, before, after State) {
	switch {
	case r.Passed && after != State{}:
		w.fail("%s passed and keeps %+v", x.site, after)
	case r.Failed && (x.probe || before.Failures == 0):
		if after.Failures != before.Failures+1 {
			w.fail("%s: failures %d after %d", x.site, after.Failures, before.Failures)
		}
		wait, step := after.RetryAt.Sub(w.now), w.cfg.Retry[min(after.Failures, len(w.cfg.Retry))-1]
		if wait < step || wait > step+time.Duration(w.cfg.Jitter*float64(step)) {
			w.fail("%s: waits %v after failure %d, step %v", x.site, wait, after.Failures, step)
		}
		if before.Failures > 0 && !after.Since.Equal(before.Since) || after.Since.After(w.now) {
			w.fail("%s: the row began at %v, now at %v", x.site, before.Since, after.Since)
		}
	case !r.Passed && before.Failures > 0 && after != before:
		w.fail("%s: state changed from %+v to %+v for no reason", x.site, before, after)
	}
}

// step does one random thing and lets time pass to the next event.
func (w *world) step() {
	site := fmt.Sprint("site", w.random.IntN(12))
	switch w.random.IntN(12) {
	case 0:
		w.s.Kick(site, w.now)
		w.kicked[site] = true
	case 1:
		w.broken[site] = !w.broken[site]
	case 7:
		w.elsewhere(site)
	case 2, 3, 4, 5, 6:
		due := w.now.Add(time.Duration(w.random.Int64N(int64(10*time.Minute))) - 2*time.Minute)
		w.waiting[site] = append(w.waiting[site], due)
		w.s.Added(site, due)
	}
	if w.jumpy && w.random.IntN(50) == 0 {
		w.back([]time.Duration{time.Minute, time.Hour, 365 * 24 * time.Hour}[w.random.IntN(3)])
	}
	for i := len(w.workers) - 1; i >= 0; i-- {
		if !w.workers[i].ends.After(w.now) {
			w.end(i)
		}
	}
	w.startAll()
	w.pass()
}

// elsewhere has another gateway find that a site fails at which a worker is.
func (w *world) elsewhere(site string) {
	if n, _ := w.at(site); n == 0 {
		return
	}
	found := State{Failures: w.random.IntN(4), RetryAt: w.now.Add(time.Duration(w.random.Int64N(int64(3 * time.Minute))))}
	if w.random.IntN(2) == 0 {
		found.Since = w.now.Add(-time.Hour)
	}
	w.s.Elsewhere(site, found, w.now)
	state := w.state[site]
	if n := max(found.Failures, 1); n > state.Failures {
		state.Failures, state.Since = n, w.now
		if !found.Since.IsZero() {
			state.Since = found.Since
		}
	}
	state.RetryAt = found.RetryAt
	w.state[site] = state
	delete(w.kicked, site)
}

// back sets the clock back. What waits keeps its time by the old clock, as in a store.
func (w *world) back(by time.Duration) {
	w.now = w.now.Add(-by)
	for i := range w.workers {
		w.workers[i].ends = w.workers[i].ends.Add(-by)
	}
	for site, s := range w.state {
		if s.Failures > 0 {
			s.Since, s.RetryAt = s.Since.Add(-by), s.RetryAt.Add(-by)
			w.state[site] = s
		}
	}
	w.s.Back(by, w.now)
}

// pass lets time go on to whatever comes first.
func (w *world) pass() {
	to := w.now.Add(time.Duration(w.random.Int64N(int64(20 * time.Second))))
	if wake, ok := w.s.Wake(); ok {
		if !wake.After(w.now) {
			w.fail("Wake says +%v, but Next has just answered that nothing may start", wake.Sub(start))
		}
		if wake.Before(to) {
			to = wake
		}
	}
	for _, x := range w.workers {
		if x.ends.Before(to) && x.ends.After(w.now) {
			to = x.ends
		}
	}
	w.now = to
}

func TestLawsHoldInRandomWorlds(t *testing.T) { lawsHold(t, false) }

func TestLawsHoldWhenTheClockGoesBack(t *testing.T) { lawsHold(t, true) }

func lawsHold(t *testing.T, jumpy bool) {
	for seed := uint64(1); seed <= 25; seed++ {
		cfg := Config{
			Retry:   []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute},
			Jitter:  []float64{0, 0.1, 0.5}[seed%3],
			PerSite: 1 + int(seed%3),
			Total:   1 + int(seed%7),
		}
		w := &world{t: t, cfg: cfg, s: newNamed(cfg, seed), random: rand.New(rand.NewPCG(seed, 1)), now: start, seed: seed,
			waiting: map[string][]time.Time{}, state: map[string]State{}, kicked: map[string]bool{},
			broken: map[string]bool{}, jumpy: jumpy}
		if jumpy {
			w.cfg.Retry = append(w.cfg.Retry, time.Hour) // nothing is put off for longer than a step
			w.s = newNamed(w.cfg, seed)
		}
		for range 1500 {
			w.step()
		}
		w.drain()
	}
}

// drain lets every site work and only time pass: in bounded time nothing may be left (no starvation), neither waiting
// nor in memory.
func (w *world) drain() {
	clear(w.broken)
	limit := w.now.Add(24 * time.Hour)
	for {
		left := 0
		for _, dues := range w.waiting {
			left += len(dues)
		}
		if left == 0 && len(w.workers) == 0 {
			break
		}
		if w.now.After(limit) {
			w.fail("%d deliveries starve: %v", left, w.waiting)
		}
		for i := len(w.workers) - 1; i >= 0; i-- {
			if !w.workers[i].ends.After(w.now) {
				w.end(i)
			}
		}
		w.startAll()
		w.pass()
	}
	for range 120 { // dues that turned out to be empty, and sites that are remembered for a while
		w.now = w.now.Add(2 * time.Hour)
		for i := len(w.workers) - 1; i >= 0; i-- {
			w.end(i)
		}
		w.startAll()
	}
	if w.s.Sites() != 0 || w.s.Running() != 0 {
		w.fail("%d sites and %d workers are left in memory", w.s.Sites(), w.s.Running())
	}
}

func TestEverySiteGetsItsTurnWhileOthersAreAlwaysBusy(t *testing.T) {
	s := known(Config{Total: 3, PerSite: 3}, "busy0", "busy1", "busy2", "busy3", "busy4")
	now := start
	for i := range 50 {
		s.Added(fmt.Sprint("quiet", i), now)
	}
	for i := range 5 {
		s.Added(fmt.Sprint("busy", i), now)
	}
	turns := map[string]int{}
	var running []string
	for range 200 {
		now = now.Add(time.Second)
		for {
			site, _, ok := s.Next(now)
			if !ok {
				break
			}
			turns[site]++
			s.Claimed(site, site[0] == 'b', now)
			running = append(running, site)
		}
		for _, site := range running {
			s.Done(site, Result{Now: now, Passed: true})
		}
		running = nil
	}
	for i := range 50 {
		if n := turns[fmt.Sprint("quiet", i)]; n != 1 {
			t.Errorf("quiet%d had %d turns, want 1", i, n)
		}
	}
	low, high := turns["busy0"], turns["busy0"]
	for i := range 5 {
		n := turns[fmt.Sprint("busy", i)]
		low, high = min(low, n), max(high, n)
	}
	if high-low > 3 {
		t.Errorf("busy sites had between %d and %d turns", low, high)
	}
}

func TestDuesStayFewAndAreLateByAThirtySecondAtMost(t *testing.T) {
	orders := map[string]func(i int) time.Duration{
		"random":    func(int) time.Duration { return time.Duration(rand.Int64N(int64(time.Hour))) },
		"ascending": func(i int) time.Duration { return time.Duration(i) * time.Hour / 20000 },
		"falling":   func(i int) time.Duration { return time.Duration(20000-i) * time.Hour / 20000 },
	}
	for name, order := range orders {
		var l dues
		var truth []instant
		for i := range 20000 {
			d := at(after(order(i)))
			truth = append(truth, d)
			l.add(d, at(start))
		}
		if len(l) > 2*manyDues {
			t.Errorf("%s: %d entries", name, len(l))
		}
		if !slices.IsSorted(l) {
			t.Errorf("%s: not sorted", name)
		}
		first := slices.Min(truth)
		for _, d := range truth {
			i, _ := slices.BinarySearch(l, d)
			if i == len(l) {
				t.Fatalf("%s: %v is after every entry", name, d.time())
			}
			if late := l[i] - d; late > (d-first)/16 {
				t.Fatalf("%s: woken %v late after %v", name, time.Duration(late), time.Duration(d-first))
			}
		}
		// Waking at each entry in turn reaches every due time.
		for len(l) > 0 {
			l.take(l[0])
		}
	}
}

func TestMemoryIsPerSiteNotPerDelivery(t *testing.T) {
	if testing.Short() {
		t.Skip("a million additions")
	}
	heapNow := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	const sites, deliveries = 10_000, 1_000_000
	names := make([]string, sites)
	for i := range names {
		names[i] = fmt.Sprintf("mx:site-%d.test", i)
	}
	random := rand.New(rand.NewPCG(1, 1))
	before := heapNow()
	s := newNamed(Config{}, 1)
	began := time.Now()
	for range deliveries {
		s.Added(names[random.IntN(sites)], after(time.Duration(random.Int64N(int64(time.Hour)))))
	}
	took := time.Since(began)
	perSite := (heapNow() - before) / sites
	t.Logf("%d bytes per site; %d additions took %v", perSite, deliveries, took)
	if perSite > 2048 {
		t.Errorf("%d bytes per site, want at most 2048", perSite)
	}
	runtime.KeepAlive(s)
}

func BenchmarkNextAndDoneAmongTenThousandSites(b *testing.B) {
	s := newNamed(Config{}, 1)
	now := start
	for i := range 10_000 {
		s.Added(fmt.Sprint("site", i), now)
	}
	for b.Loop() {
		now = now.Add(time.Millisecond)
		site, _, _ := s.Next(now)
		s.Claimed(site, true, now)
		s.Done(site, Result{Now: now, Passed: true})
	}
}
