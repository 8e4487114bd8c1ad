package nodes_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/lab/testkit/nodeboard"
)

func TestTheBoardIsARegistry(t *testing.T) {
	b := nodeboard.New()
	nodeboard.Conform(t, b, func(d time.Duration) { b.Clock += d }, b.Rules)
}

// TestAGatewayThatStandsAloneMayDoEverything: no Registry, and no Node at all.
func TestAGatewayThatStandsAloneMayDoEverything(t *testing.T) {
	for name, n := range map[string]*nodes.Node{"no node": nil, "no registry": nodes.New(nodes.Config{Name: "gw1"})} {
		t.Run(name, func(t *testing.T) {
			end, err := n.Begin(t.Context())
			if err != nil || n.May() != nil || n.Ready(t.Context()) != nil || n.State() != nodes.Live || n.Shared() {
				t.Fatal(err, n.May(), n.State())
			}
			end()
			if a, err := n.Agree(t.Context(), nodes.Mark{Rules: 9}, nil); err != nil || a.Lacking != nil {
				t.Error(a, err)
			}
			if wait, err := n.Probe(t.Context(), "x", false); wait != 0 || err != nil {
				t.Error(wait, err)
			}
			list, err := n.Members(t.Context())
			if err != nil || len(list) != 1 || !list[0].Self || list[0].State != nodes.Live {
				t.Error(list, err)
			}
			if _, shared := n.Pulse(); shared {
				t.Error("it has a lease")
			}
		})
	}
}

// TestWhatBecomesOfAGatewayThatIsCutOff goes through its states, as it sees itself and as others see it.
func TestWhatBecomesOfAGatewayThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{board: nodeboard.New()}
		l.append()
		a, b := join(t, l, "gw-a", nil), join(t, l, "gw-b", nil)
		defer a.stop()
		defer b.stop()
		seen := func() (self, others nodes.State) {
			list, err := b.Members(t.Context())
			if err != nil || len(list) != 2 || list[0].Name != "gw-a" {
				t.Fatal(list, err)
			}
			return a.State(), list[0].State
		}
		if a.State() != nodes.Joining || !errors.Is(a.May(), nodes.ErrCutOff) {
			t.Errorf("before it joined: %v, %v", a.State(), a.May())
		}
		wait(time.Second)
		for _, step := range []struct {
			after        time.Duration
			cut          bool
			self, others nodes.State
			lost, again  int32
		}{
			{0, false, nodes.Live, nodes.Live, 0, 0},
			{25 * time.Hour, false, nodes.Live, nodes.Live, 0, 0},
			{5 * time.Second, true, nodes.Live, nodes.Live, 0, 0},
			{21 * time.Second, true, nodes.Doubtful, nodes.Doubtful, 1, 0},
			{14 * time.Second, true, nodes.Gone, nodes.Gone, 1, 0},
			{time.Hour, true, nodes.Gone, nodes.Gone, 1, 0},
			{2 * time.Second, false, nodes.Live, nodes.Live, 1, 1},
			{21 * time.Second, true, nodes.Doubtful, nodes.Doubtful, 2, 1},
			{2 * time.Second, false, nodes.Live, nodes.Live, 2, 2},
		} {
			a.cut.Store(step.cut)
			wait(step.after)
			self, others := seen()
			if self != step.self || others != step.others || a.lost.Load() != step.lost || a.resumed.Load() != step.again {
				t.Errorf("%+v: it is %v, for others %v; lost %d times, resumed %d", step, self, others, a.lost.Load(), a.resumed.Load())
			}
			if err := a.May(); (err == nil) != (self == nodes.Live) {
				t.Errorf("%+v: %v, %v", step, self, err)
			}
		}
	})
}

// TestAFrozenGatewayDoesNothingWhenItWakes: its renewals neither end nor fail, no timer of it fires, and the first
// thing that it does afterwards is refused; what it had begun is refused by the store.
func TestAFrozenGatewayDoesNothingWhenItWakes(t *testing.T) {
	for _, frozen := range []time.Duration{15*time.Second + time.Millisecond, 31 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{board: nodeboard.New()}
			l.append()
			g := join(t, l, "gw-a", nil)
			defer g.stop()
			wait(time.Second)
			done := make(chan bool)
			go func() {
				_, _, ok := g.accept(t.Context(), l, frozen)
				done <- ok
			}()
			synctest.Wait()
			g.frozen.Store(true)
			wait(frozen)
			if err := g.May(); !errors.Is(err, nodes.ErrCutOff) || !errors.Is(g.Ready(t.Context()), nodes.ErrCutOff) {
				t.Errorf("frozen for %v: %v", frozen, err)
			}
			if _, err := g.Begin(t.Context()); !errors.Is(err, nodes.ErrCutOff) {
				t.Errorf("frozen for %v: %v", frozen, err)
			}
			if ok := <-done; ok && frozen > lease {
				t.Errorf("frozen for %v, a message that was judged before is accepted", frozen)
			}
			g.frozen.Store(false)
			wait(11 * time.Second)
			if err := g.May(); err != nil {
				t.Errorf("it goes on by itself: %v", err)
			}
		})
	}
}

// TestAClockThatIsWrongConcernsNobody: the store's is an hour off from that of the gateways.
func TestAClockThatIsWrongConcernsNobody(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{board: nodeboard.New()}
			l.board.Clock = off
			l.append()
			a, b := join(t, l, "gw-a", nil), join(t, l, "gw-b", nil)
			defer a.stop()
			defer b.stop()
			wait(time.Minute)
			if a.May() != nil || b.May() != nil {
				t.Fatal(a.May(), b.May())
			}
			if _, agreed, err := a.apply(t.Context(), l); err != nil || len(agreed.Lacking) > 0 || agreed.Took > time.Second {
				t.Errorf("%+v, %v", agreed, err)
			}
		})
	}
}

// TestWhomAChangeWaitsFor: what the others do decides how long, and where it is said not to hold.
// TestAClockThatIsWrongByMoreThanADay: it is told from a minute on; beyond a day the gateway does nothing, keeps its
// lease, acknowledges rules, and goes on when the clock is right.
func TestAClockThatIsWrongByMoreThanADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{board: nodeboard.New()}
		l.append()
		var ahead atomic.Int64
		var told []time.Duration
		var lost []error
		resumed := 0
		n := nodes.New(nodes.Config{Registry: l.board, Session: "a", Name: "gw", Lease: lease, InForce: l.read,
			Ahead: func() time.Duration { return time.Duration(ahead.Load()) }, Off: func(by time.Duration) { told = append(told, by) },
			Lost: func(err error) { lost = append(lost, err) }, Resumed: func() { resumed++ }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = n.Run(ctx) }()
		for _, by := range []time.Duration{30 * time.Second, time.Hour, -14 * time.Hour, -nodes.ClockMost} {
			ahead.Store(int64(by))
			wait(lease)
			if n.May() != nil || !n.Live() || len(lost) > 0 {
				t.Errorf("%v ahead: %v, %v", by, n.May(), lost)
			}
		}
		for _, by := range []time.Duration{nodes.ClockMost + 1, -25 * time.Hour} {
			ahead.Store(int64(by))
			if err := n.May(); !errors.Is(err, nodes.ErrClock) || n.Live() {
				t.Errorf("%v ahead: %v", by, err)
			}
			wait(2 * lease)
		}
		roll, err := l.board.Nodes(ctx)
		if err != nil || len(roll.Lacking(l.append())) != 1 || roll.Nodes[0].StateAt(roll.Now) != nodes.Live {
			t.Errorf("its lease: %+v, %v", roll, err)
		}
		wait(lease)
		if roll, err = l.board.Nodes(ctx); err != nil || len(roll.Lacking(l.read())) != 0 {
			t.Errorf("it acknowledges nothing: %+v, %v", roll, err)
		}
		ahead.Store(0)
		wait(lease)
		if n.May() != nil || len(lost) != 1 || !errors.Is(lost[0], nodes.ErrClock) || errors.Is(lost[0], nodes.ErrCutOff) || resumed != 1 {
			t.Errorf("set right: %v, lost %v, resumed %d times", n.May(), lost, resumed)
		}
		if len(told) != 2 || told[0] != time.Hour || told[1] != 0 {
			t.Errorf("told of %v", told)
		}
		cancel()
		<-ended
	})
}

func TestWhomAChangeWaitsFor(t *testing.T) {
	for name, c := range map[string]struct {
		do      func(b *gateway)
		atLeast time.Duration
		atMost  time.Duration
		lacking bool
	}{
		"all are well":          {func(*gateway) {}, 0, time.Second, false},
		"one left in order":     {func(b *gateway) { b.stop() }, 0, time.Second, false},
		"one is cut off":        {func(b *gateway) { b.cut.Store(true) }, 19 * time.Second, 32 * time.Second, false},
		"one is frozen":         {func(b *gateway) { b.frozen.Store(true) }, 19 * time.Second, 32 * time.Second, false},
		"one cannot read rules": {func(b *gateway) { b.view.Store(&nodes.Mark{}) }, 0, time.Second, false},
		"one was gone long ago": {func(b *gateway) { b.cut.Store(true); wait(time.Hour) }, 0, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{board: nodeboard.New()}
				l.append()
				a, b := join(t, l, "gw-a", nil), join(t, l, "gw-b", nil)
				defer a.stop()
				defer b.stop()
				wait(time.Second)
				c.do(b)
				began := time.Now()
				_, agreed, err := a.apply(t.Context(), l)
				took := time.Since(began)
				if err != nil || took < c.atLeast || took > c.atMost || (len(agreed.Lacking) > 0) != c.lacking {
					t.Errorf("after %v: %+v, %v", took, agreed, err)
				}
			})
		})
	}
}

// TestAMessageThatIsBeingJudgedIsWaitedFor: apply returns when it was accepted, for it was judged by what was before;
// one that takes longer than the bound is told of.
func TestAMessageThatIsBeingJudgedIsWaitedFor(t *testing.T) {
	for _, takes := range []time.Duration{5 * time.Second, 50 * time.Second, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{board: nodeboard.New()}
			first := l.append()
			a, b := join(t, l, "gw-a", nil), join(t, l, "gw-b", nil)
			defer a.stop()
			defer b.stop()
			wait(time.Second)
			began := time.Now()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if by, _, ok := b.accept(t.Context(), l, takes); !ok || by != first {
					t.Errorf("judged by %v, accepted %v", by, ok)
				}
			}()
			synctest.Wait()
			var told []int
			m := l.append()
			a.view.Store(&m)
			agreed, err := a.Agree(t.Context(), m, func(lacking []nodes.Member) { told = append(told, len(lacking)) })
			took := time.Since(began)
			if takes > 2*lease {
				if err != nil || took > 2*lease+time.Second || len(agreed.Lacking) != 1 || agreed.Lacking[0].Name != "gw-b" {
					t.Errorf("after %v: %+v, %v", took, agreed, err)
				}
			} else if err != nil || took < takes || took > takes+2*time.Second || len(agreed.Lacking) > 0 || told[len(told)-1] != 0 {
				t.Errorf("after %v: %+v, %v, told %v", took, agreed, err, told)
			}
			// Meanwhile the gateway judges by the new rules.
			if by, _, ok := b.accept(t.Context(), l, 0); !ok || by != m {
				t.Errorf("then judged by %v, accepted %v", by, ok)
			}
			<-done
		})
	}
}

// TestWhereTheStoreIsAwayNobodySaysThatAChangeHolds: unknown is never good.
func TestWhereTheStoreIsAwayNobodySaysThatAChangeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{board: nodeboard.New()}
		l.append()
		a := join(t, l, "gw-a", nil)
		defer a.stop()
		wait(time.Second)
		a.cut.Store(true)
		began := time.Now()
		if _, _, err := a.apply(t.Context(), l); !errors.Is(err, nodes.ErrUnknownWhere) || !errors.Is(err, nodeboard.ErrCut) || time.Since(began) > 2*lease+time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := a.apply(ctx, l); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who asks went away: %v", err)
		}
	})
}

// TestAGatewayThatIsBehindJudgesNothing until it has read what is newest, and where it cannot, nothing at all.
func TestAGatewayThatIsBehindJudgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := nodeboard.New()
		var view atomic.Pointer[nodes.Mark]
		var works atomic.Bool
		view.Store(&nodes.Mark{Rules: 1, Number: 1})
		n := nodes.New(nodes.Config{Registry: b, Session: "x", Name: "x", Lease: lease, InForce: func() nodes.Mark { return *view.Load() },
			Reload: func(context.Context) error {
				if !works.Load() {
					return errors.New("the disk is on fire")
				}
				view.Store(&nodes.Mark{Rules: 2, Number: 2})
				return nil
			}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); n.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		b.Rules(1)
		wait(time.Second)
		if n.May() != nil {
			t.Fatal(n.May())
		}
		b.Rules(2)
		n.Poke()
		wait(time.Second)
		began := time.Now()
		if _, err := n.Begin(ctx); !errors.Is(err, nodes.ErrBehind) || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		go func() { wait(2 * time.Second); works.Store(true) }()
		end, err := n.Begin(ctx) // waits until they are read
		if err != nil {
			t.Fatal(err)
		}
		end()
	})
}

// TestOneProbesForAll: of three gateways one gets the right, the others hear for how long; a pass is heard by all.
func TestOneProbesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{board: nodeboard.New()}
		l.append()
		var all []*gateway
		for _, name := range []string{"gw-a", "gw-b", "gw-c"} {
			g := join(t, l, name, nil)
			defer g.stop()
			all = append(all, g)
		}
		wait(time.Second)
		probe := func(now bool) (got int) {
			for _, g := range all {
				if wait, err := g.Probe(t.Context(), "mx.shop.test", now); err != nil {
					t.Fatal(err)
				} else if wait == 0 {
					got++
				}
			}
			return got
		}
		if probe(false) != 1 || probe(true) != 1 {
			t.Error("more than one probes at a time")
		}
		for _, g := range all { // who has the turn says so; the others change nothing
			if err := g.Failed(t.Context(), "mx.shop.test", time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if probe(false) != 0 || probe(true) != 0 {
			t.Error("it is probed again at once")
		}
		wait(10 * time.Second)
		if probe(false) != 0 || probe(true) != 1 {
			t.Error("somebody who says so has it probed once")
		}
		if err := all[0].Passed(t.Context(), "mx.shop.test"); err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			if failing, err := g.Failing(t.Context(), []string{"mx.shop.test", "other"}); err != nil || len(failing) > 0 {
				t.Error(failing, err)
			}
		}
		// Who probes and dies loses the right with its lease.
		if wait, _ := all[0].Probe(t.Context(), "x", false); wait != 0 {
			t.Fatal(wait)
		}
		all[0].frozen.Store(true)
		wait(lease + time.Second)
		if wait, _ := all[1].Probe(t.Context(), "x", false); wait != 0 {
			t.Error(wait)
		}
		all[0].frozen.Store(false)
	})
}
