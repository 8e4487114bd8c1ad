package dispatch

import (
	"testing"
	"time"
)

const year = 365 * 24 * time.Hour

// played is a clock that jumps: at each step time passes, and then the wall clock jumps.
type played struct {
	clock
	t      *testing.T
	wall   time.Time
	passed time.Duration
}

func play(t *testing.T) *played {
	p := &played{t: t, wall: time.Date(2027, 3, 3, 9, 0, 0, 0, time.UTC)}
	p.observe(p.wall, 0)
	return p
}

func (p *played) step(pass, jump time.Duration) {
	p.wall, p.passed = p.wall.Add(pass+jump), p.passed+pass
	p.observe(p.wall, p.passed)
}

// waited is how long mail with a time of acceptance has waited, as the clock tells.
func (p *played) waited(at time.Time) time.Duration { return p.wall.Sub(p.accepted(at, p.wall)) }

func (p *played) want(what string, at time.Time, want time.Duration) {
	p.t.Helper()
	if got := p.waited(at); got != want {
		p.t.Errorf("%s has waited %v, want %v", what, got, want)
	}
}

func TestMailWaitsAsLongAsTimePassesWhateverTheClockShows(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, year} {
		p := play(t)
		old := p.wall
		p.step(time.Minute, jump)
		p.step(time.Minute, 0)
		p.want("mail from before the jump", old, 2*time.Minute)
		between := p.wall
		p.want("new mail", between, 0)
		p.step(time.Minute, -jump)
		p.want("mail from before both jumps", old, 3*time.Minute)
		p.step(time.Minute, 0)
		p.want("mail from between", between, 2*time.Minute)
		if p.gained() != 0 {
			t.Errorf("%v are left of a jump that was taken back", p.gained())
		}

		p = play(t)
		old = p.wall
		p.step(time.Minute, -jump)
		p.step(time.Minute, 0)
		p.want("mail from before a jump back", old, 2*time.Minute)
		between = p.wall
		p.step(time.Minute, jump)
		p.want("mail from before a jump back and forward", old, 3*time.Minute)
		p.want("mail from between", between, time.Minute)
	}
}

// Whatever the clock does, mail never looks older than it is: its window would end too early.
func TestMailNeverLooksOlderThanItIs(t *testing.T) {
	steps := []time.Duration{-year, -time.Hour, -6 * time.Second, -4 * time.Second, 0, 4 * time.Second, 6 * time.Second, time.Hour, year}
	type letter struct {
		at  time.Time
		age time.Duration
	}
	for seed := range 5000 {
		p := play(t)
		mail := []letter{{p.wall, 0}}
		for n, i := seed, 0; i < 5; n, i = n/len(steps), i+1 {
			p.step(17*time.Minute, steps[n%len(steps)])
			for j := range mail {
				mail[j].age += 17 * time.Minute
				// A step too small to be a jump may make it seem older by itself.
				if got := p.waited(mail[j].at); got > mail[j].age+2*leastJump {
					t.Fatalf("seed %d, after jump %d: mail of %v looks %v old", seed, i, mail[j].age, got)
				}
			}
			mail = append(mail, letter{p.wall, 0})
		}
	}
}

// TestASharedStoreTellsTimesByTheClockAsItStands: what jumped is what it is told in, and nothing is made older or newer
// twice.
func TestASharedStoreTellsTimesByTheClockAsItStands(t *testing.T) {
	for _, jump := range []time.Duration{-year, -time.Hour, time.Hour, year} {
		p := play(t)
		p.shared = true
		kept := p.passed // the store's clock does not jump
		for i, step := range []time.Duration{jump, 0, -jump, jump} {
			p.step(17*time.Minute, step)
			told := p.wall.Add(kept - p.passed)
			p.want("mail from before", told, time.Duration(i+1)*17*time.Minute)
			if p.gained() != 0 || p.beyond(p.wall, time.Hour) != p.wall.Add(time.Hour) {
				t.Errorf("after %v %v are gained, and nothing is due after %v", step, p.gained(), p.beyond(p.wall, time.Hour).Sub(p.wall))
			}
		}
	}
}

func TestSmallStepsThatAddUpAreAJump(t *testing.T) {
	p := play(t)
	p.step(time.Minute, -3*time.Second)
	at := p.wall.Add(3 * time.Second)
	p.want("mail from before a small step", at, -3*time.Second)
	p.wall, p.passed = p.wall.Add(time.Minute-3*time.Second), p.passed+time.Minute
	if by := p.observe(p.wall, p.passed); by != -6*time.Second {
		t.Errorf("two steps of 3 s back were seen as %v", by)
	}
}

func TestJumpsRememberedAreBounded(t *testing.T) {
	p := play(t)
	for range 100 {
		p.step(time.Minute, time.Hour)
	}
	if len(p.past) != epochsKept || cap(p.past) > 4*epochsKept {
		t.Errorf("%d epochs are kept, in room for %d", len(p.past), cap(p.past))
	}
}

func TestBeyondIsWhatTheClockOfNowCannotHavePlanned(t *testing.T) {
	p := play(t)
	want := func(what string, want time.Duration) {
		t.Helper()
		if got := p.beyond(p.wall, time.Hour).Sub(p.wall); got != want {
			t.Errorf("%s: beyond is %v from now, want %v", what, got, want)
		}
	}
	want("at start", time.Hour)
	p.plan(p.wall.Add(time.Minute), p.wall.Add(time.Hour))
	p.step(time.Second, year)
	want("after a jump forward", time.Hour)
	p.step(time.Second, -time.Hour)
	want("after a jump back", 0)
	p.plan(p.wall.Add(30*time.Minute), p.wall.Add(time.Hour))
	p.plan(p.wall.Add(year), p.wall.Add(time.Hour))
	p.plan(time.Time{}, p.wall.Add(time.Hour))
	want("when a try is planned", 30*time.Minute)
	p.step(time.Second, -time.Minute)
	want("after another", 0)
}
