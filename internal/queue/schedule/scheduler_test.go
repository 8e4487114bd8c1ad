package schedule

import (
	"fmt"
	"hash/crc32"
	"testing"
	"time"
)

var start = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// named is a Scheduler whose places are known by site, for tests in which it does not matter which worker ends.
type named struct {
	*Scheduler
	places map[string][]*Place
}

func newNamed(cfg Config, seed uint64) *named {
	return &named{Scheduler: New(cfg, seed), places: map[string][]*Place{}}
}

// Added is of a submitter who writes to no other site.
func (s *named) Added(site string, due time.Time) {
	s.Scheduler.Added(site, due, Origin{Lane: crc32.ChecksumIEEE([]byte(site))})
}

func (s *named) Next(now time.Time) (site string, probe, ok bool) {
	p, ok := s.Scheduler.Next(now)
	if !ok {
		return "", false, false
	}
	s.places[p.Site()] = append(s.places[p.Site()], p)
	return p.Site(), p.Probe(), true
}

func (s *named) Claimed(site string, full bool, now time.Time) {
	if ps := s.places[site]; len(ps) > 0 {
		s.Scheduler.Claimed(ps[len(ps)-1], full, Origin{Lane: ps[0].lane}, now)
	}
}

// Done ends the worker that began first.
func (s *named) Done(site string, r Result) State {
	ps := s.places[site]
	if len(ps) == 0 {
		return State{}
	}
	s.places[site] = ps[1:]
	if r.Passed {
		s.Progress(ps[0], true, false, r.Now)
	}
	return s.Scheduler.Done(ps[0], r)
}

// known is a Scheduler of sites that took mail lately.
func known(cfg Config, sites ...string) *named {
	s := newNamed(cfg, 1)
	for _, site := range sites {
		s.TookMail(site, after(-time.Hour))
	}
	return s
}

// after returns the moment d after the start of every test.
func after(d time.Duration) time.Time { return start.Add(d) }

func expectNext(t *testing.T, s *named, now time.Time, site string, probe bool) {
	t.Helper()
	got, p, ok := s.Next(now)
	if !ok || got != site || p != probe {
		t.Fatalf("Next at +%v = %q probe=%v ok=%v, want %q probe=%v", now.Sub(start), got, p, ok, site, probe)
	}
}

func expectNothing(t *testing.T, s *named, now time.Time) {
	t.Helper()
	if got, _, ok := s.Next(now); ok {
		t.Fatalf("Next at +%v = %q, want nothing", now.Sub(start), got)
	}
}

func expectWake(t *testing.T, s *named, want time.Time) {
	t.Helper()
	if got, ok := s.Wake(); !ok || !got.Equal(want) {
		t.Fatalf("Wake = +%v %v, want +%v", got.Sub(start), ok, want.Sub(start))
	}
}

func TestNothingWaitsAtFirst(t *testing.T) {
	s := newNamed(Config{}, 1)
	expectNothing(t, s, start)
	if at, ok := s.Wake(); ok {
		t.Fatalf("Wake = %v, want none", at)
	}
	if st := s.Done("unknown", Result{Now: start, Failed: true}); st != (State{}) {
		t.Fatalf("Done of an unknown site = %+v", st)
	}
	s.Claimed("unknown", true, start)
	expectNothing(t, s, start)
}

func TestAddedStartsWhenDueAndASiteWithNothingLeftIsForgotten(t *testing.T) {
	s := newNamed(Config{}, 1)
	s.Added("a", after(time.Minute))
	expectNothing(t, s, start)
	expectWake(t, s, after(time.Minute))
	expectNext(t, s, after(time.Minute), "a", false)
	s.Claimed("a", false, after(time.Minute))
	expectNothing(t, s, after(time.Minute))
	if st := s.Done("a", Result{Now: after(2 * time.Minute), Passed: true}); st != (State{}) {
		t.Fatalf("state = %+v, want zero", st)
	}
	if s.Running() != 0 {
		t.Fatalf("%d running, want none", s.Running())
	}
	forgotten(t, s)
}

// forgotten fails unless every site is forgotten a while after its last mail, and not at once.
func forgotten(t *testing.T, s *named) {
	t.Helper()
	if s.Sites() == 0 {
		t.Fatal("what took mail is not remembered")
	}
	expectNothing(t, s, after(9*24*time.Hour))
	if s.Sites() != 0 {
		t.Fatalf("%d sites are still kept", s.Sites())
	}
}

func TestSeveralDuesOfOneSiteEachWakeIt(t *testing.T) {
	s := newNamed(Config{}, 1)
	dues := []time.Duration{5 * time.Minute, time.Minute, 3 * time.Minute}
	for _, d := range dues {
		s.Added("a", after(d))
	}
	for _, d := range []time.Duration{time.Minute, 3 * time.Minute, 5 * time.Minute} {
		expectWake(t, s, after(d))
		expectNext(t, s, after(d), "a", false)
		s.Claimed("a", false, after(d))
		s.Done("a", Result{Now: after(d + time.Second), Passed: true})
	}
	forgotten(t, s)
}

func TestRetryStepsFollowTheFailuresAndTheLastRepeats(t *testing.T) {
	steps := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}
	s := newNamed(Config{Retry: steps}, 1)
	now := start
	s.Added("a", now)
	for n := 1; n <= 5; n++ {
		expectNext(t, s, now, "a", n > 1)
		s.Claimed("a", n > 1, now) // of a failing site even a full claim lets no second worker in
		expectNothing(t, s, now)
		now = now.Add(10 * time.Second)
		st := s.Done("a", Result{Now: now, Failed: true, Due: now})
		retry := now.Add(steps[min(n, 3)-1])
		want := State{Failures: n, Since: after(10 * time.Second), RetryAt: retry}
		if st != want {
			t.Fatalf("failure %d: state %+v, want %+v", n, st, want)
		}
		expectNothing(t, s, retry.Add(-1))
		expectWake(t, s, retry)
		now = retry
	}
}

func TestWorkersSideBySideAreOneFailure(t *testing.T) {
	s := known(Config{Retry: []time.Duration{time.Minute, time.Hour}, PerSite: 3}, "a")
	s.Added("a", start)
	for range 3 {
		expectNext(t, s, start, "a", false)
		s.Claimed("a", true, start)
	}
	expectNothing(t, s, start) // PerSite
	for range 3 {
		if st := s.Done("a", Result{Now: start, Failed: true, Due: start}); st.Failures != 1 {
			t.Fatalf("failures = %d, want 1", st.Failures)
		}
	}
	expectNext(t, s, after(time.Minute), "a", true)
}

func TestProbeWaitsUntilOldWorkersAreDone(t *testing.T) {
	s := known(Config{Retry: []time.Duration{time.Minute}}, "a")
	s.Added("a", start)
	expectNext(t, s, start, "a", false)
	s.Claimed("a", true, start)
	expectNext(t, s, start, "a", false)
	s.Claimed("a", true, start)
	s.Done("a", Result{Now: start, Failed: true})
	s.Claimed("a", true, start)
	expectNothing(t, s, after(time.Hour))
	s.Done("a", Result{Now: after(time.Hour), Failed: true})
	expectNext(t, s, after(time.Hour), "a", true)
	s.Claimed("a", true, after(time.Hour))
	expectNothing(t, s, after(2*time.Hour))
}

func TestRepairReleasesEverythingThatWaits(t *testing.T) {
	s := newNamed(Config{PerSite: 3}, 1)
	s.Load("a", start, 7, after(-time.Hour), after(time.Minute))
	expectNext(t, s, after(time.Minute), "a", true)
	s.Claimed("a", true, after(time.Minute))
	expectNothing(t, s, after(time.Minute))
	if st := s.Done("a", Result{Now: after(time.Minute), Passed: true}); st != (State{}) {
		t.Fatalf("state = %+v, want zero", st)
	}
	for range 3 {
		expectNext(t, s, after(time.Minute), "a", false)
		s.Claimed("a", true, after(time.Minute))
	}
	expectNothing(t, s, after(time.Minute))
}

func TestAPassOfAnOldWorkerEndsTheRowOfFailures(t *testing.T) {
	s := known(Config{}, "a")
	s.Added("a", start)
	expectNext(t, s, start, "a", false)
	s.Claimed("a", true, start)
	expectNext(t, s, start, "a", false)
	s.Claimed("a", true, start)
	s.Done("a", Result{Now: start, Failed: true, Due: start})
	if st := s.Done("a", Result{Now: start, Passed: true, Failed: true}); st != (State{}) {
		t.Fatalf("state = %+v, want zero", st)
	}
	expectNext(t, s, start, "a", false)
}

func TestKickIsOneProbeNowAndKeepsTheRow(t *testing.T) {
	s := newNamed(Config{Retry: []time.Duration{time.Hour}}, 1)
	s.Load("a", start, 3, after(-time.Hour), after(50*time.Minute))
	expectNothing(t, s, start)
	s.Kick("a", start)
	expectNext(t, s, start, "a", true)
	st := s.Done("a", Result{Now: start, Failed: true, Due: start})
	if want := (State{4, after(-time.Hour), after(time.Hour)}); st != want {
		t.Fatalf("state = %+v, want %+v", st, want)
	}
	expectNothing(t, s, after(time.Hour-1))
	expectNext(t, s, after(time.Hour), "a", true)
}

func TestKickDuringAProbeIsFollowedByAnother(t *testing.T) {
	s := newNamed(Config{Retry: []time.Duration{time.Hour}}, 1)
	s.Load("a", start, 3, after(-time.Hour), start)
	expectNext(t, s, start, "a", true)
	s.Kick("a", after(time.Second))
	expectNothing(t, s, after(time.Second))
	s.Done("a", Result{Now: after(2 * time.Second), Failed: true, Due: after(time.Hour)})
	expectNext(t, s, after(2*time.Second), "a", true)
	s.Done("a", Result{Now: after(3 * time.Second), Failed: true, Due: after(time.Hour)})
	expectNothing(t, s, after(4*time.Second))
}

func TestKickOfAnUnknownSiteTriesIt(t *testing.T) {
	s := newNamed(Config{}, 1)
	s.Kick("a", start)
	expectNext(t, s, start, "a", false)
	s.Done("a", Result{Now: start})
	if s.Sites() != 0 {
		t.Fatal("the site is still kept")
	}
}

func TestAWorkerThatDidNothingDoesNotSpin(t *testing.T) {
	for _, failures := range []int{0, 2} {
		s := newNamed(Config{Retry: []time.Duration{time.Minute}}, 1)
		s.Load("a", start, failures, start, start)
		expectNext(t, s, start, "a", failures > 0)
		s.Done("a", Result{Now: start, Due: start})
		expectNothing(t, s, after(time.Minute-1))
		expectNext(t, s, after(time.Minute), "a", failures > 0)
	}
}

func TestTotalIsNeverExceeded(t *testing.T) {
	s := known(Config{Total: 2}, "a", "b", "c")
	for _, site := range []string{"a", "b", "c"} {
		s.Added(site, start)
	}
	expectNext(t, s, start, "a", false)
	expectNext(t, s, start, "b", false)
	expectNothing(t, s, start)
	expectWake(t, s, after(10*time.Second)) // when they are slow
	s.Done("a", Result{Now: start, Passed: true})
	expectNext(t, s, start, "c", false)
}

func TestProbesLeaveRoomToSitesThatWork(t *testing.T) {
	s := known(Config{Total: 8}, "w1", "w2", "w3", "w4", "w5", "w6") // probes have 2 of 8
	for _, site := range []string{"p1", "p2", "p3"} {
		s.Load(site, start, 1, start, start)
	}
	expectNext(t, s, start, "p1", true)
	expectNothing(t, s, start) // half of the probes' places is for another submitter
	s.Scheduler.Added("p2", start, Origin{Lane: 8})
	expectNext(t, s, start, "p2", true)
	expectNothing(t, s, start)
	for i := range 6 {
		w := fmt.Sprint("w", i+1)
		s.Added(w, after(time.Second))
		if i < 5 { // of what is left one place is for those never tried
			expectNext(t, s, after(time.Second), w, false)
		}
	}
	expectNothing(t, s, after(time.Second))
	s.Done("p1", Result{Now: after(time.Second), Failed: true})
	expectNext(t, s, after(time.Second), "p3", true)
	expectNothing(t, s, after(time.Second))
	s.Done("p2", Result{Now: after(time.Second), Failed: true})
	expectNext(t, s, after(time.Second), "w6", false)
}

func TestABusySiteGoesBehindThoseThatWereReadyBefore(t *testing.T) {
	s := newNamed(Config{Total: 1}, 1)
	s.Added("big", start)
	expectNext(t, s, start, "big", false)
	s.Added("small", start)
	s.Claimed("big", true, start)
	s.Done("big", Result{Now: start, Passed: true, Due: after(-24 * time.Hour)})
	expectNext(t, s, start, "small", false)
	s.Done("small", Result{Now: start, Passed: true})
	expectNext(t, s, start, "big", false)
}

func TestAFailingSiteWithNothingWaitingIsRememberedForAWhile(t *testing.T) {
	s := newNamed(Config{Retry: []time.Duration{time.Hour}}, 1)
	s.Added("a", start)
	expectNext(t, s, start, "a", false)
	s.Done("a", Result{Now: start, Failed: true})
	s.Added("a", after(time.Minute))
	expectNothing(t, s, after(time.Minute))
	expectNext(t, s, after(time.Hour), "a", true)
	s.Done("a", Result{Now: after(time.Hour), Failed: true})
	expectNothing(t, s, after(3*time.Hour-1))
	if s.Sites() != 1 {
		t.Fatal("forgotten too early")
	}
	expectNothing(t, s, after(3*time.Hour))
	if s.Sites() != 0 {
		t.Fatal("never forgotten")
	}
}

func TestLoadOfASiteThatWorksWithoutMailKeepsNothing(t *testing.T) {
	s := newNamed(Config{}, 1)
	s.Load("a", time.Time{}, 0, time.Time{}, time.Time{})
	if s.Sites() != 0 {
		t.Fatal("kept")
	}
}

func TestWhatTheStoreDidNotListAtStartIsFoundInTime(t *testing.T) {
	s := newNamed(Config{Retry: []time.Duration{time.Hour}}, 1)
	var waiting []time.Duration
	for i := range 60 {
		waiting = append(waiting, time.Duration(i)*time.Minute)
	}
	s.Load("a", start, 0, time.Time{}, time.Time{}) // the store tells the earliest alone
	workers := 0
	for now := start; len(waiting) > 0; {
		if site, _, ok := s.Next(now); ok {
			workers++
			for len(waiting) > 0 && !after(waiting[0]).After(now) {
				if late := now.Sub(after(waiting[0])); late > time.Hour/16 {
					t.Fatalf("what is due at +%v is found %v late", waiting[0], late)
				}
				waiting = waiting[1:]
			}
			s.Claimed(site, false, now)
			s.Claimed(site, false, now)
			s.Done(site, Result{Now: now, Passed: true})
			continue
		}
		wake, ok := s.Wake()
		if !ok {
			t.Fatalf("%d deliveries are forgotten", len(waiting))
		}
		now = wake
	}
	if workers > 18 {
		t.Errorf("%d workers were needed", workers)
	}
	for range 2 { // the last look finds nothing, and then the site is forgotten
		if site, _, ok := s.Next(after(2 * time.Hour)); ok {
			s.Claimed(site, false, after(2*time.Hour))
			s.Done(site, Result{Now: after(2 * time.Hour)})
		}
	}
	forgotten(t, s)
}

func TestAClockThatJumpsBackDoesNotStall(t *testing.T) {
	const longest = 66 * time.Minute // 1h and 10 %
	cfg := Config{Retry: []time.Duration{time.Hour}, Jitter: 0.1}
	s := newNamed(cfg, 1)
	s.Added("failing", start)
	s.Added("waiting", after(30*time.Minute))
	expectNext(t, s, start, "failing", false)
	s.Done("failing", Result{Now: start, Failed: true, Due: start})
	past := after(-48 * time.Hour)
	expectNothing(t, s, past)
	for range 2 {
		if _, _, ok := s.Next(past.Add(longest)); !ok {
			t.Fatal("a site waits longer than the longest step after the clock went back")
		}
	}
	// What is due later stays known: the early try took nothing away.
	s.Done("waiting", Result{Now: past.Add(longest)})
	if s.Sites() != 2 {
		t.Fatalf("%d sites are known, want 2", s.Sites())
	}
}

func TestWhatWaitsKeepsItsPaceWhenTheClockWentBack(t *testing.T) {
	for _, by := range []time.Duration{time.Minute, time.Hour, 365 * 24 * time.Hour} {
		s := newNamed(Config{Retry: []time.Duration{time.Minute, time.Hour}}, 1)
		s.Added("failing", start)
		expectNext(t, s, start, "failing", false)
		s.Done("failing", Result{Now: start, Failed: true, Due: start})
		s.Added("waiting", after(2*time.Minute))
		back := func(d time.Duration) time.Time { return after(d - by) }
		s.Back(by, back(time.Second))
		expectNothing(t, s, back(59*time.Second))
		expectNext(t, s, back(time.Minute), "failing", true)
		expectNothing(t, s, back(time.Minute))
		expectNext(t, s, back(2*time.Minute), "waiting", false)
		state := s.Done("failing", Result{Now: back(2 * time.Minute), Failed: true, Due: back(2 * time.Minute)})
		if want := (State{Failures: 2, Since: back(0), RetryAt: back(62 * time.Minute)}); state != want {
			t.Errorf("%v back: the state is %+v, want %+v", by, state, want)
		}
	}
}

// The store's times are by the clock that stood later. A claim that finds nothing does not end the search.
func TestAfterTheClockWentBackASiteIsAskedAgain(t *testing.T) {
	const longest = time.Hour
	for late := time.Duration(0); late <= 4*longest; late += 7 * time.Minute {
		s := newNamed(Config{Retry: []time.Duration{longest}}, 1)
		s.Added("a", start)
		now := after(-2 * longest)
		s.Back(2*longest, now)
		due := now.Add(late) // of one delivery, by the store
		for found := false; !found; {
			if wake, ok := s.Wake(); !ok || wake.After(now.Add(longest)) {
				t.Fatalf("what is due %v later is forgotten", late)
			} else if wake.After(now) {
				now = wake
			}
			expectNext(t, s, now, "a", false)
			found = !due.After(now) || due.After(now.Add(longest))
			s.Claimed("a", false, now)
			s.Done("a", Result{Now: now, Passed: found})
		}
	}
}

func TestARetryTimeFromAWrongClockDoesNotStall(t *testing.T) {
	s := newNamed(Config{Retry: []time.Duration{time.Hour}}, 1)
	s.Load("a", start, 1, start, after(1000*time.Hour))
	expectNothing(t, s, start)
	expectNext(t, s, after(time.Hour), "a", true)
}

func TestAJumpForwardMakesAllDue(t *testing.T) {
	s := newNamed(Config{}, 1)
	s.Added("a", after(time.Hour))
	s.Added("b", after(2*time.Hour))
	expectNext(t, s, after(1e5*time.Hour), "a", false)
	expectNext(t, s, after(1e5*time.Hour), "b", false)
}
