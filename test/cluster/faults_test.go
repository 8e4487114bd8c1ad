package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"postern/test/harness"
)

// long reports whether the long form was asked for.
func long() bool { return os.Getenv("POSTERN_CRASH") == "long" }

// faults is what may happen to gateways and their database.
type faults struct {
	t    *testing.T
	c    *cluster
	ways []*way // of each gateway
	rng  *rand.Rand
}

// few is a short time by chance.
func (f *faults) few(most time.Duration) { time.Sleep(time.Duration(f.rng.Int64N(int64(most)))) }

// beyond is longer than a lease.
func (f *faults) beyond() {
	time.Sleep(3300 * time.Millisecond)
	f.few(700 * time.Millisecond)
}

// all are the faults by name, each at a gateway and back to normal when it returns.
func (f *faults) all() map[string]func(g int) {
	return map[string]func(int){
		"killed": func(g int) {
			f.c.gw[g].Kill()
			f.few(2 * time.Second)
			f.c.gw[g].Serve()
		},
		"frozen": func(g int) {
			f.c.gw[g].Signal(syscall.SIGSTOP)
			f.beyond()
			f.c.gw[g].Signal(syscall.SIGCONT)
		},
		"cut off": func(g int) {
			f.ways[g].set([]state{cut, silent}[f.rng.IntN(2)])
			f.beyond()
			f.ways[g].set(open)
		},
		"database crashed": func(int) {
			if err := f.c.db.Kill(); err != nil {
				f.t.Fatal(err)
			}
			f.few(2 * time.Second)
			if err := f.c.db.Restart(); err != nil {
				f.t.Fatal(err)
			}
		},
		"nobody listens": func(int) { f.deafen() },
	}
}

// deafen ends the connections on which gateways listen for each other's news.
func (f *faults) deafen() {
	f.t.Helper()
	const listening = " FROM pg_stat_activity WHERE query ILIKE 'LISTEN %'"
	harness.Eventually(f.t, harness.Patience, "both gateways listen, again after what happened before", func() bool {
		return len(f.c.numbers("SELECT pid"+listening)) >= 2
	})
	if n := len(f.c.numbers("SELECT pid FROM (SELECT pid, pg_terminate_backend(pid)" + listening + ") l")); n < 2 {
		f.t.Errorf("%d connections were listening", n)
	}
}

// TestWhateverHappensToGatewaysAndTheirDatabaseNothingIsLost: mail comes in at both gateways all the time, while one
// thing after the other happens to one of them or to the database.
// It has the machine for itself: how soon all is well again is part of what it asks.
func TestWhateverHappensToGatewaysAndTheirDatabaseNothingIsLost(t *testing.T) {
	c := of(t, 2)
	f := &faults{t: t, c: c, rng: rand.New(rand.NewPCG(harness.Seed(t), 1))}
	rules := town(c)
	for _, w := range c.gw {
		way, url := wayTo(t, c.db.URL())
		w.Settings["store"] = fmt.Sprintf("%q", url)
		f.ways = append(f.ways, way)
	}
	c.start(rules)
	l := startLoad(c, 40*time.Millisecond)
	l.works(t)
	rounds, happened := 1, 0
	if long() {
		rounds = 20
	}
	names := []string{"killed", "frozen", "cut off", "database crashed", "nobody listens"}
	for range rounds {
		f.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			f.few(500 * time.Millisecond)
			g := f.rng.IntN(len(c.gw))
			t.Logf("gw%d: %s", g+1, name)
			f.all()[name](g)
			happened++
			l.works(t)
		}
	}
	l.stop()
	// Each fault may repeat what was between a server's 250 and our note of it. Where the database is away no note can be
	// taken, and a gateway sends on for up to half a lease.
	l.tell(t, c, 20*happened)
}
