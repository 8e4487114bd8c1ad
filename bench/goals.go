package main

import (
	"fmt"
	"slices"

	"postern/bench/measure"
	"postern/bench/rig"
)

// goal is one line of the list of goals.
type goal struct {
	what, want, got string
	measured, met   bool
	noisy           bool
}

// crowded is from which share of the machine on, taken by others, a comparison is called noisy.
const crowded = 0.2

func (g goal) verdict() string {
	switch {
	case !g.measured:
		return ""
	case g.met && g.noisy:
		return "reached, noisy"
	case g.met:
		return "reached"
	case g.noisy:
		return "missed, noisy"
	}
	return "missed"
}

// goals holds the report against what was set out to be reached. What the report does not contain is not judged.
func (r *Report) goals() []goal {
	o := ordinary()
	with := func(change func(*Work)) Work {
		w := o
		change(&w)
		return w
	}
	goals := []goal{
		r.atLeast(o, rig.Postfix, 7), r.atLeast(o, rig.Null, 0.7), r.sharedGoal(o, rig.Postern, 0.45),
		r.sharedGoal(o, rig.Postfix, 3), r.atLeast(with(func(w *Work) { w.TLS = false }), rig.Postfix, 7),
		r.cpuGoal(o), r.replyGoal(o),
		r.atLeast(with(func(w *Work) { w.Size = 64 << 10 }), rig.Postfix, 3),
		r.atLeast(with(func(w *Work) { w.Size = 1 << 20 }), rig.Postfix, 3),
		r.atLeast(with(func(w *Work) { w.PerConnection = 1 }), rig.Postfix, 2),
		r.idleGoal(), r.largeGoal(),
	}
	for _, c := range r.Comparisons {
		if c.Topic == "servers" {
			continue
		}
		for _, other := range c.Outcomes[1:] {
			times := 0.9
			if c.Topic == "published" {
				times = 0.95
			}
			g := c.wantRate(other.Name, c.base(), times)
			g.want = fmt.Sprintf(">= %v x %s", times, c.base())
			g.what = c.base() + " / " + other.Name
			goals = append(goals, g)
			if c.Topic == "waiting" {
				goals = append(goals, goal{what: "start with " + other.Name, want: "< 10 s",
					got: fmt.Sprintf("%.1f s", other.Started), measured: g.measured, met: other.Started < 10})
			}
		}
	}
	for _, s := range r.Searches {
		goals = append(goals, goal{what: "trace by " + s.By, want: "< 200 ms", got: fmt.Sprintf("%.0f ms", s.MS),
			measured: true, met: s.MS < 200})
	}
	return slices.DeleteFunc(goals, func(g goal) bool { return g.what == "" })
}

// atLeast is a goal about the relay rate of Postern beside another server.
func (r *Report) atLeast(w Work, other string, times float64) goal {
	var g goal
	if c := r.comparison("servers", w); c != nil {
		g = c.wantRate(rig.Postern, other, times)
	}
	g.what = w.String()
	return g
}

// sharedGoal is one about Postern with its mail in PostgreSQL, on the same processors.
func (r *Report) sharedGoal(w Work, other string, times float64) goal {
	g := goal{what: w.String() + ", in PostgreSQL"}
	if c := r.comparison("servers", w); c != nil {
		g = c.wantRate(rig.Shared, other, times)
		g.what = w.String() + ", in PostgreSQL"
		g.want = fmt.Sprintf(">= %v x %s", times, other)
	}
	return g
}

// wantRate wants the rate of one contestant to be so many times another's. Beside the ratio that was measured stands
// the one that processor time alone would make of it, which others on the machine disturb less.
func (c *Comparison) wantRate(name, other string, times float64) goal {
	v, ok := c.ratio(name, other, rate)
	byTime, _ := c.ratio(name, other, allowed)
	return goal{want: fmt.Sprintf(">= %.1f x %s", times, other), got: fmt.Sprintf("%.2f (CPU %.2f)", v, byTime),
		measured: ok, met: v >= times, noisy: c.crowd() > crowded}
}

// crowd is the share of the machine that others took.
func (c *Comparison) crowd() float64 {
	var all []float64
	for _, o := range c.Outcomes {
		all = append(all, o.each(foreign)...)
	}
	return measure.Median(all)
}

func (r *Report) cpuGoal(w Work) goal {
	g := goal{what: "processor time of a message, " + w.String(), want: "<= 1/6 postfix"}
	if c := r.comparison("servers", w); c != nil {
		v, ok := c.ratio(rig.Postern, rig.Postfix, cpu)
		g.measured, g.met = ok, v <= 1./6
		if v > 0 {
			g.got = fmt.Sprintf("1/%.1f", 1/v)
		}
	}
	return g
}

// replyGoal wants the slowest hundredth of our answers before the middle of Postfix's, both from the end of a message
// and from MAIL.
func (r *Report) replyGoal(w Work) goal {
	g := goal{what: "250 p99 of postern to p50 of postfix, ms", want: "below it"}
	if c := r.comparison("servers", w); c != nil {
		ours, okOurs := c.find(rig.Postern)
		theirs, okTheirs := c.find(rig.Postfix)
		a, b := ours.median(reply99), theirs.median(reply50)
		g.got, g.measured = fmt.Sprintf("%.1f to %.1f", a, b), okOurs && okTheirs
		g.met = a < b && ours.median(whole99) < theirs.median(whole50)
		g.noisy = c.crowd() > crowded
	}
	return g
}

func (r *Report) idleGoal() goal {
	i := slices.IndexFunc(r.Idle, func(i Idle) bool { return i.Kind == rig.Postern })
	if i < 0 {
		return goal{}
	}
	v := r.Idle[i].Each
	return goal{what: fmt.Sprintf("an idle TLS session, %d of them", r.Idle[i].Sessions), want: "<= 40 KiB",
		got: fmt.Sprintf("%.1f KiB", v), measured: true, met: v <= 40}
}

func (r *Report) largeGoal() goal {
	i := slices.IndexFunc(r.Large, func(l Large) bool { return l.Kind == rig.Postern && l.AtOnce == 1 })
	if i < 0 {
		return goal{}
	}
	v := r.Large[i].Growth
	return goal{what: measure.Bytes(largeSize) + ", growth of memory", want: "<= 8 MiB",
		got: fmt.Sprintf("%.1f MiB", v), measured: true, met: v <= 8}
}
