package tlscheck

import (
	"fmt"
	"slices"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/internal/check"
)

// watch checks all targets again and again until it is stopped, and tells what changed.
func (c *CheckCmd) watch(a *cli.App, s *checkSetup, v *checkView, targets []check.Target) error {
	w := watching{a: a, gateway: s.gateway}
	tick := time.NewTicker(c.Watch)
	defer tick.Stop()
	for {
		v.again()
		err := s.checker.Run(a.Ctx, slices.Values(targets), func(r *check.Report) error {
			before, known, seen := w.take(r)
			if !seen {
				return v.show(r)
			}
			v.count(r)
			v.waker.tell(a.Ctx, r)
			if !known {
				return nil
			}
			return v.changes(r, before.Changes(r.Features()))
		})
		if err != nil && a.Ctx.Err() == nil {
			return err
		}
		v.end()
		select {
		case <-tick.C:
			s.again()
		case <-a.Ctx.Done():
			return nil
		}
	}
}

// watching is what was seen of targets. What the running gateway knows may be other than what domains say themselves,
// and none of that is a change: a report is held against the last one that rests on the same.
type watching struct {
	a       *cli.App
	gateway *gateway
	seen    map[string]bool                    // targets that were shown
	before  map[string]map[bool]check.Features // by target, and whether the gateway did not answer
	told    bool                               // that it did not answer
}

// take keeps a report, and returns the one to hold it against: known is false where there is none, and seen where the
// target was never shown.
func (w *watching) take(r *check.Report) (before check.Features, known, seen bool) {
	if w.seen == nil {
		w.seen, w.before = map[string]bool{}, map[string]map[bool]check.Features{}
	}
	if w.before[r.Target] == nil {
		w.before[r.Target] = map[bool]check.Features{}
	}
	alone := w.gateway.missed.Load()
	before, known = w.before[r.Target][alone]
	seen = w.seen[r.Target]
	w.before[r.Target][alone], w.seen[r.Target] = r.Features(), true
	if _, answered := w.before[r.Target][false]; answered && alone != w.told {
		w.told = alone
		said := "the running gateway does not answer: until it does, what it keeps of domains does not count"
		if !alone {
			said = "the running gateway answers again"
		}
		fmt.Fprintf(w.a.Stderr, "postern: %s\n", said)
	}
	return before, known, seen
}
