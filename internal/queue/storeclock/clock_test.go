package storeclock

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestLawWhatIsUsedStaysUntilItIsWrong: a clock that is off by some amount is asked for again and again over a line that
// is slow now and then, by a process that is stopped now and then. What is used is soon right to half a second and what
// a quick answer may be wrong by, and never changes while the clocks do not.
func TestLawWhatIsUsedStaysUntilItIsWrong(t *testing.T) {
	for _, off := range []time.Duration{0, 300 * time.Millisecond, -time.Hour, time.Hour, 26 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(off), 1))
			var c Clock
			if c.Ahead() != 0 {
				t.Error("it is off before anything was heard")
			}
			ask := func(slow time.Duration) {
				asked := time.Now()
				time.Sleep(time.Duration(random.Int64N(int64(slow))))
				said := time.Now().Add(-off).Round(0)
				time.Sleep(time.Duration(random.Int64N(int64(slow))))
				c.Heard(said, asked)
			}
			ask(5 * time.Millisecond)
			used := c.Ahead()
			if (used-off).Abs() > least+5*time.Millisecond || used%time.Microsecond != 0 {
				t.Errorf("off by %v: %v", off, used)
			}
			for range 1000 {
				ask([]time.Duration{time.Millisecond, 300 * time.Millisecond, 30 * time.Second}[random.IntN(3)])
				time.Sleep(time.Duration(random.Int64N(int64(10 * time.Second))))
				if now := c.Ahead(); now != used {
					t.Fatalf("off by %v all the time: first %v, then %v", off, used, now)
				}
			}
			off += 2 * time.Second // the store's clock is set right
			ask(5 * time.Millisecond)
			if now := c.Ahead(); (now - off).Abs() > least+5*time.Millisecond {
				t.Errorf("off by %v now: %v", off, now)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	for name, c := range map[string]struct{ used, found, unsure, want time.Duration }{
		"nothing is wrong":                 {0, 100 * time.Millisecond, time.Millisecond, 0},
		"a clock an hour ahead":            {0, time.Hour + 7, time.Millisecond, time.Hour},
		"a clock behind":                   {0, -time.Hour, 0, -time.Hour},
		"the answer took ten seconds":      {0, 5 * time.Second, 5 * time.Second, 0},
		"it is as before":                  {time.Hour, time.Hour - 400*time.Millisecond, 0, time.Hour},
		"it drifts":                        {time.Hour, time.Hour - 600*time.Millisecond, 0, time.Hour - 600*time.Millisecond},
		"it was set right":                 {time.Hour, 20 * time.Millisecond, time.Millisecond, 0},
		"it jumps back across the store's": {time.Hour, -time.Hour, time.Millisecond, -time.Hour},
	} {
		if got := settled(c.used, c.found, c.unsure); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestAJumpShowsAtOnce: the wall clock was set while the process ran, and the store was not asked since.
func TestAJumpShowsAtOnce(t *testing.T) {
	said := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	h := heard{store: said}
	for wall, want := range map[time.Duration]time.Duration{time.Minute: 0, time.Minute + time.Hour: time.Hour, time.Minute - time.Hour: -time.Hour} {
		if got := h.ahead(said.Add(wall), time.Minute); got != want {
			t.Errorf("it shows %v when a minute has passed: %v", wall, got)
		}
	}
}
