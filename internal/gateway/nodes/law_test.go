package nodes_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/lab/testkit/nodeboard"
)

// promise is that of a change of the rules that came back: from then on nothing is judged by less.
type promise struct {
	mark nodes.Mark
	at   time.Time
}

// record is what was judged by what, and when that became true for others.
type record struct {
	what, gateway string
	by            nodes.Mark
	at            time.Time
}

// TestLawNothingIsJudgedByLessAfterApplyReturned: three gateways with bad lines, each of them cut off, frozen and woken
// at random, take mail in and send it, while the rules change a hundred times and more, until fifty changes returned. No
// message that was accepted, and none whose MAIL was said, after a change returned was judged by what was before. And
// no change takes longer than its bound.
func TestLawNothingIsJudgedByLessAfterApplyReturned(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) { law(t, seed) })
	}
}

func law(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 11))
	l := &ledger{board: nodeboard.New()}
	l.append()
	var mu sync.Mutex
	var promises []promise
	var records []record
	over := make(chan struct{})
	var busy sync.WaitGroup
	var all []*gateway
	for i, name := range []string{"gw-a", "gw-b", "gw-c"} {
		g := join(t, l, name, rand.New(rand.NewPCG(seed, uint64(i))))
		defer g.stop()
		all = append(all, g)
		note := func(what string, by nodes.Mark, at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			records = append(records, record{what, g.session, by, at})
		}
		for worker := range uint64(2) {
			own := rand.New(rand.NewPCG(seed, 100*uint64(i)+worker))
			busy.Go(func() { workUntil(t, over, g, l, own, note) })
		}
		busy.Go(func() { troubleUntil(over, g, rand.New(rand.NewPCG(seed, 1000+uint64(i)))) })
	}
	wait(time.Second)
	unfinished := 0
	for n := 0; n < 100 || len(promises) < 50 && n < 400; n++ {
		g := all[random.IntN(len(all))]
		began := time.Now()
		m, agreed, err := g.apply(t.Context(), l)
		if took := time.Since(began); took > 2*lease+time.Second {
			t.Errorf("seed %d: a change took %v", seed, took)
		}
		if err == nil && len(agreed.Lacking) == 0 {
			mu.Lock()
			promises = append(promises, promise{m, time.Now()})
			mu.Unlock()
		} else {
			unfinished++
		}
		wait(time.Duration(random.Int64N(int64(4 * time.Second))))
	}
	close(over)
	for _, g := range all {
		g.cut.Store(false)
		g.frozen.Store(false)
	}
	busy.Wait()
	kept := 0
	for _, r := range records {
		for _, p := range promises {
			if r.at.After(p.at) && !r.by.Reaches(p.mark) {
				t.Fatalf("seed %d: %s at %s by %+v, %v after %+v was promised", seed, r.what, r.gateway, r.by, r.at.Sub(p.at), p.mark)
			}
		}
		kept++
	}
	if len(promises) < 50 || kept < 500 {
		t.Errorf("seed %d: %d changes came back, %d did not, %d messages: that proves little", seed, len(promises), unfinished, kept)
	}
}

// workUntil takes messages in and sends them.
func workUntil(t *testing.T, over chan struct{}, g *gateway, l *ledger, random *rand.Rand, note func(string, nodes.Mark, time.Time)) {
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(random.Int64N(int64(700 * time.Millisecond)))):
		}
		takes := time.Duration(random.Int64N(int64(50 * time.Millisecond)))
		if random.IntN(100) == 0 { // it freezes between the judgement and the commit
			takes = time.Duration(random.Int64N(int64(3 * lease)))
		}
		if by, at, ok := g.accept(t.Context(), l, takes); ok {
			note("accepted", by, at)
		}
		if g.Ready(t.Context()) != nil {
			continue
		}
		view := *g.view.Load()
		time.Sleep(takes) // the connection is opened
		if *g.view.Load() == view && g.May() == nil {
			note("sent", view, time.Now())
		}
	}
}

// troubleUntil cuts a gateway off and freezes it now and then.
func troubleUntil(over chan struct{}, g *gateway, random *rand.Rand) {
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(random.Int64N(int64(2 * time.Minute)))):
		}
		fault := &g.cut
		if random.IntN(2) == 0 {
			fault = &g.frozen
		}
		fault.Store(true)
		select {
		case <-over:
		case <-time.After(time.Duration(random.Int64N(int64(2 * lease)))):
		}
		fault.Store(false)
	}
}
