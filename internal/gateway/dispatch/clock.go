package dispatch

import (
	"fmt"
	"slices"
	"time"

	"postern/internal/event"
	"postern/internal/queue"
)

// What gateways share is kept by the clock of their store, and told by that of this machine as it stands when it is
// read (package storeclock). Nothing of it is older or newer than it looks then, however this clock jumped; only what
// is in memory is.

// leastJump is what counts as a jump of the wall clock against the monotonic one, at once or by smaller steps together.
const leastJump = 5 * time.Second

// epochsKept bounds the epochs that are remembered; of more the oldest are forgotten.
const epochsKept = 16

// clock follows the jumps of the wall clock. What is stored has its times by that clock, and only while the process
// runs can the monotonic one tell that it jumped; at start the clock is taken for right. Not safe for concurrent use.
type clock struct {
	shared  bool          // the store turns times; nothing is remembered of jumps
	start   time.Time     // of the first epoch that is known
	ahead   time.Duration // wall less monotonic since the first look, in this epoch
	first   time.Time     // look
	from    time.Time     // of this epoch; zero for the first, whose clock is taken for that of all time before
	past    []epoch       // oldest first
	back    bool          // the clock has gone back
	planned time.Time     // the latest try planned since then
}

// epoch is a time between two jumps, by its own clock.
type epoch struct {
	from, to time.Time
	jump     time.Duration // at its end
}

// observe takes in that the wall clock shows now when so much time has passed since the first look, and returns by how
// much it has jumped, 0 if it has not.
func (c *clock) observe(now time.Time, passed time.Duration) time.Duration {
	now = now.Round(0)
	if c.first.IsZero() {
		c.first, c.start, c.ahead = now, now, -passed
		return 0
	}
	by := now.Sub(c.first) - passed - c.ahead
	if by.Abs() < leastJump {
		return 0
	}
	c.ahead += by
	if c.shared {
		return by
	}
	c.past = append(c.past, epoch{c.from, now.Add(-by), by})
	c.from = now
	if len(c.past) > epochsKept {
		c.past = c.past[1:]
		c.start = c.past[0].from
	}
	if by < 0 {
		c.back, c.planned = true, time.Time{}
	}
	return by
}

// accepted returns when a message with this time of acceptance came, by the clock of now. Where several epochs showed
// that time it is the latest that may be, so that no window ends early. What is of no epoch was there before the first.
func (c *clock) accepted(at, now time.Time) time.Time {
	if c.shared {
		return at
	}
	const slack = 2 * leastJump // for smaller steps
	within := func(from, to time.Time) bool { return !at.Before(from.Add(-slack)) && !at.After(to.Add(slack)) }
	found, moved, jumps := within(c.from, now.Round(0)), time.Duration(0), time.Duration(0)
	for _, e := range slices.Backward(c.past) {
		jumps += e.jump
		if within(e.from, e.to) && (!found || jumps > moved) {
			found, moved = true, jumps
		}
	}
	if !found {
		return c.start.Add(jumps)
	}
	return at.Add(moved)
}

// gained is by how much time at most the clock makes what is stored look older than it is.
func (c *clock) gained() time.Duration {
	most, jumps := time.Duration(0), time.Duration(0)
	for _, e := range slices.Backward(c.past) {
		jumps += e.jump
		most = max(most, jumps)
	}
	return most
}

// plan notes that something will be due at a time. What is later than most was planned by another clock.
func (c *clock) plan(due, most time.Time) {
	if due = due.Round(0); due.After(c.planned) && !due.After(most.Round(0)) {
		c.planned = due
	}
}

// beyond is after what time nothing can be due by the clock of now, which plans no further than longest.
func (c *clock) beyond(now time.Time, longest time.Duration) time.Time {
	now = now.Round(0)
	most := now.Add(longest)
	if !c.back || c.planned.After(most) {
		return most
	}
	if c.planned.After(now) {
		return c.planned
	}
	return now
}

// now returns the time, and lets clock and schedule know of a jump before anything is judged by it. The caller holds
// mu.
func (d *Dispatcher) now() time.Time {
	now := time.Now()
	by := d.clock.observe(now, now.Sub(d.born))
	if by < 0 {
		d.sched.Back(-by, now)
	}
	d.jumped += by
	return now
}

// claimTimes are the time of a claim and what is beyond it, at a site.
func (d *Dispatcher) claimTimes() (now, beyond time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now = d.now()
	return now, d.clock.beyond(now, d.longest)
}

// accepted is when w was accepted, by the clock of now.
func (d *Dispatcher) accepted(w *queue.Work) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock.accepted(w.AcceptedAt, d.now())
}

// tellJump tells the administrator when the clock has jumped.
func (d *Dispatcher) tellJump() {
	d.mu.Lock()
	d.now()
	by := d.jumped
	d.jumped = 0
	d.mu.Unlock()
	if by == 0 {
		return
	}
	d.reschedule() // the schedule may have moved
	way := "forward"
	if by < 0 {
		way = "back"
	}
	d.cfg.Sink.Emit(event.Warned{
		What: "clock",
		Text: fmt.Sprintf("the clock of this machine went %s by %v while the gateway ran", way,
			by.Abs().Round(time.Second)),
		Hint: "date; timedatectl: see that the clock is right; certificates are judged by it, and after a restart " +
			"the windows of waiting mail too",
	})
}
