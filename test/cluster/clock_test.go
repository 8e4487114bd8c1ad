package cluster

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// TestAGatewayWhoseClockIsWrongHarmsNobody: the wall clock of one of two gateways is off by an hour. Both take and
// deliver, neither takes what the other is at, and what the one had waiting goes on at the other when it is killed.
// Windows are half an hour long, and notices are due after some seconds: nothing is given up, and of each message that
// waits one notice is sent, when it is due, whoever accepted it.
func TestAGatewayWhoseClockIsWrongHarmsNobody(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("a clock is set wrongly by machine code of amd64")
	}
	for name, off := range map[string]int{"ahead": 3600, "behind": -3600} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := of(t, 2)
			const notice = 8 * time.Second
			for _, w := range c.gw {
				w.Settings["delivery.lifetime"] = `"30m"`
				w.Settings["delivery.delay_notice"] = fmt.Sprintf("%q", notice)
				w.Settings["delivery.connections_per_site"] = "3"
			}
			wrong, right := c.gw[0], c.gw[1]
			slow := wrong.Good("mx.slow.test")
			slow.Before = func(verb string) {
				if verb == "." {
					time.Sleep(200 * time.Millisecond) // the other one looks for leases that are over
				}
			}
			p := wrong.Domain("slow.test", slow)
			down := wrong.Domain("down.test", wrong.Answers("mx.down.test", "RCPT", "451 4.3.0 later"))
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			wrong.Under = []string{program, clockArgument, fmt.Sprint(off)}
			c.start(harness.Force("both", `"slow.test", "down.test"`))
			for i, w := range c.gw {
				if told := strings.Contains(w.Log(), "the clock of this gateway is 1h0m0s "+name); told != (w == wrong) {
					t.Errorf("gateway %d tells of its clock: %v", i+1, told)
				}
			}
			send := func(n int, domain string) (to []string) {
				for i := range n {
					for g, w := range c.gw {
						to = append(to, fmt.Sprintf("c%d-%d@%s", g+1, i, domain))
						if id, reply := hand(w, to[len(to)-1]); id == "" {
							t.Fatal(reply)
						}
					}
				}
				return to
			}
			began := time.Now()
			waiting, going := send(10, "down.test"), send(20, "slow.test")
			harness.Eventually(t, 2*harness.Patience, "all that can be delivered is", func() bool { return len(p.Messages()) >= len(going) })
			t.Logf("delivered after %v", time.Since(began))
			right.Await(going[len(going)-1], harness.In("delivered"))
			for _, d := range right.Traces("trace", "--recipient", "*@slow.test", "--limit", "100") {
				if d.State != "delivered" || d.Reached != "authenticated" { // the last one is not always the last that is noted
					right.Await(d.To, harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
				}
			}
			for _, to := range going {
				if n := copies(contents(p), to); n != 1 {
					t.Errorf("%d copies for %s", n, to)
				}
			}
			if n := len(right.Home().Messages()); n != 0 && time.Since(began) < notice {
				t.Errorf("%d notices after %v", n, time.Since(began))
			}
			harness.Eventually(t, 2*harness.Patience, "there is a notice of what waits, and it is noted that it went", func() bool {
				gone := right.Traces("trace", "--recipient", "anna@home.test", "--limit", "100")
				return len(gone) >= len(waiting) && !slices.ContainsFunc(gone, func(d harness.Trace) bool { return d.State != "delivered" })
			})
			t.Logf("the last notice after %v", time.Since(began))
			wrong.Kill()
			began = time.Now()
			down.Set(wrong.Good("mx.down.test"))
			harness.Eventually(t, 2*harness.Patience, "what waited is delivered by the other", func() bool {
				return len(down.Messages()) >= len(waiting)
			})
			t.Logf("taken over after %v", time.Since(began))
			for _, to := range waiting {
				if n := copies(contents(down), to); n != 1 {
					t.Errorf("%d copies for %s", n, to)
				}
			}
			notices := contents(right.Home())
			for _, to := range waiting {
				n := 0
				for _, text := range notices {
					if strings.Contains(text, to) {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%d notices for %s", n, to)
				}
			}
			if len(notices) != len(waiting) {
				t.Errorf("%d reports, and nothing failed", len(notices))
			}
		})
	}
}

// TestAGatewayWhoseClockIsDaysOffDoesNothing: it answers 451 and says why, and the other goes on.
func TestAGatewayWhoseClockIsDaysOffDoesNothing(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("a clock is set wrongly by machine code of amd64")
	}
	c := of(t, 2)
	right, wrong := c.gw[0], c.gw[1]
	right.Domain("open.test", partner.Behaviour{})
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	wrong.Under = []string{program, clockArgument, fmt.Sprint(-3 * 24 * 3600)}
	c.start(harness.Force("nobody", `"nobody.test"`))
	if id, reply := hand(wrong, "a@open.test"); id != "" || !strings.HasPrefix(reply, "451 4.3.") {
		t.Errorf("it answers %q", reply)
	}
	if log := wrong.Log(); !strings.Contains(log, "72h0m0s behind") || !strings.Contains(log, "timedatectl") {
		t.Errorf("it does not say why: %s", log)
	}
	if id, reply := hand(right, "b@open.test"); id == "" {
		t.Fatal(reply)
	}
	right.Await("b@open.test", harness.In("delivered"))
}
