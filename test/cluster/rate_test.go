package cluster

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// The server that takes mail for the measure of a rate.
const (
	takesFor = 300 * time.Millisecond // after the end of each message
	eachHas  = 5                      // connections from each gateway
	eachGets = 80                     // messages, each gateway
)

// TestThreeGatewaysAreThreeTimesAsFast: where a server is slow and not the machine, each gateway adds its own rate, for
// none waits for another, or for the database.
func TestThreeGatewaysAreThreeTimesAsFast(t *testing.T) {
	one, three := rateOf(t, 1), rateOf(t, 3)
	t.Logf("one gateway %.0f messages a second, three %.0f: %.2f times as fast", one, three, three/one)
	if three < 2*one { // the machine may be busy
		t.Errorf("three gateways are %.2f times as fast as one, want near 3", three/one)
	}
}

// rateOf is how many messages a second a slow server gets from n gateways while all have mail for it.
func rateOf(t *testing.T, n int) float64 {
	c := of(t, n)
	for _, g := range c.gw {
		g.Settings["delivery.connections_per_site"] = fmt.Sprint(n * eachHas)
	}
	var mu sync.Mutex
	var came []time.Time
	c.gw[0].Domain("slow.test", partner.Behaviour{Before: func(verb string) {
		if verb != "." {
			return
		}
		time.Sleep(takesFor)
		mu.Lock()
		defer mu.Unlock()
		came = append(came, time.Now())
	}})
	c.start("")
	var all sync.WaitGroup
	for g, w := range c.gw {
		for k := range eachHas {
			all.Go(func() {
				for i := range eachGets / eachHas {
					if id, reply := hand(w, fmt.Sprintf("m%d-%d-%d@slow.test", g, k, i)); id == "" {
						t.Error(reply)
					}
				}
			})
		}
	}
	all.Wait()
	harness.Eventually(t, 4*harness.Patience, "all of it has come", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(came) >= n*eachGets
	})
	for _, w := range c.gw {
		w.Kill()
	}
	slices.SortFunc(came, time.Time.Compare)
	from, to := len(came)/5, len(came)*4/5 // neither the beginning nor the end
	return float64(to-from) / came[to].Sub(came[from]).Seconds()
}
