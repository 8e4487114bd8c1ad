package crash

import (
	"math/rand/v2"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// Each kill may repeat, for each site, what was on its way: at most one message on each of its connections.
const connections = 3

// town is the world that a load runs in: see load for who lives there.
func town(t *testing.T) *world {
	w := newWorld(t)
	w.Settings["delivery.connections_per_site"] = "3"
	w.Domain("taken.test", w.Good("mx.taken.test"))
	w.Domain("refused.test", w.Refuses("mx.refused.test"))
	w.Domain("expired.test", w.Expired("mx.expired.test"))
	w.Domain("sealed.test", w.Good("mx.sealed.test"))
	// The trap takes everything in plaintext. It is a mail host of both domains whose mail is forced.
	w.Partner("trap.test", partner.Behaviour{})
	w.Record("!expired.test MX 20 trap.test", "!sealed.test MX 20 trap.test")
	return w
}

// townRules force the mail to two domains, of which one never proves itself.
func townRules() string {
	return harness.Force("late", `"expired.test"`, ticked, `defer = "2s"`, `mx = "any"`) +
		harness.Force("sealed", `"sealed.test"`, ticked, `defer = "60s"`, `mx = "any"`)
}

func TestKilledAtAnyMomentTheGatewayLosesNothing(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.Start(townRules())
	l := startLoad(w.Addr, 4)
	kills := make([]time.Time, either(6, 300))
	for i := range kills {
		before, some := l.count(250), 1+rand.IntN(10)
		harness.Eventually(t, harness.Patience, "some messages are accepted", func() bool { return l.count(250) >= before+some })
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		w.Kill()
		kills[i] = time.Now()
		w.Serve()
	}
	l.stop()
	t.Logf("%v over %d kills", l, len(kills))
	w.drained()
	l.check(w, kills)
}

func TestStoppedInOrderTheGatewayDeliversEverythingOnce(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.Start(townRules())
	l := startLoad(w.Addr, 2)
	for range either(3, 30) {
		time.Sleep(time.Duration(300+rand.IntN(500)) * time.Millisecond)
		w.Restart()
	}
	l.stop()
	t.Logf("%v", l)
	w.drained()
	l.check(w, nil)
}

// The control of this level: a message that is missing, one that is there too often, one that was refused and arrives,
// a notice that comes twice and one that does not come are each noticed.
func TestTheAccountOfALoadIsStrict(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.Start(townRules())
	l := startLoad(w.Addr, 1)
	harness.Eventually(t, harness.Patience, "some messages are accepted and some refused", func() bool {
		return l.count(250) > 3 && l.count(554) > 0
	})
	l.stop()
	w.drained()
	if wrong := l.wrong(w, nil); len(wrong) != 0 {
		t.Fatalf("the account begins with %q", wrong)
	}
	some := l.accepted[0]
	for _, c := range []struct {
		what   string
		change func(l *load)
	}{
		{"a lost message", func(l *load) { l.accepted = append(l.accepted, "mark-of-nobody") }},
		{"a refused message that came", func(l *load) { l.refused = append(l.refused, some) }},
		{"a message that came again where nothing was killed", func(l *load) {
			if _, err := l.message(some, false); err != nil {
				t.Fatal(err)
			}
			w.drained()
		}},
	} {
		changed := *l
		c.change(&changed)
		if wrong := changed.wrong(w, nil); len(wrong) == 0 {
			t.Errorf("%s was not noticed", c.what)
		}
	}
}
