package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/nodes"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/nodeboard"
	"postern/internal/queue"
)

// beside is a gateway that is told what it may do; failing sites are no matter of it.
type beside struct {
	*nodes.Node
	dead   atomic.Bool  // it may do nothing
	late   atomic.Bool  // it may begin nothing
	behind atomic.Int32 // so often May says that it is behind
}

var errNotNow = errors.New("not now")

func (b *beside) Live() bool { return !b.dead.Load() }

func (b *beside) Ready(context.Context) error {
	if b.dead.Load() || b.late.Load() {
		return errNotNow
	}
	return nil
}

func (b *beside) May() error {
	if b.dead.Load() || b.late.Load() || b.behind.Add(-1) >= 0 {
		return errNotNow
	}
	return nil
}

// TestAGatewayThatMayDoNothingSendsNothing: what waits, what comes, and what was claimed when it happened; it goes on by
// itself, each message once.
func TestAGatewayThatMayDoNothingSendsNothing(t *testing.T) {
	others := &beside{}
	story(t, func(w *world) {
		w.start()
		w.accept("a@example.test", nil, "x@shop.test")
		time.Sleep(time.Second)
		others.dead.Store(true)
		w.accept("a@example.test", nil, "y@shop.test") // for the channel that lingers
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(20 * time.Minute)
		if n := len(w.shop.Messages()) + len(w.clinic.Messages()); n != 1 || spoke(w.clinic) {
			t.Errorf("%d messages were sent", n)
		}
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State == queue.Sending {
				t.Errorf("mail to %s is claimed", rec.Recipient.Address)
			}
		}
		others.dead.Store(false)
		w.d.Resumed()
		time.Sleep(2 * time.Minute)
		if len(w.shop.Messages()) != 2 || len(w.clinic.Messages()) != 1 {
			t.Errorf("afterwards %d and %d messages", len(w.shop.Messages()), len(w.clinic.Messages()))
		}
	}, func(c *dispatch.Config) { c.Others, c.Linger = others, time.Minute })
}

// TestARunEndsWhereItIs: the first of ten is being sent when the gateway may not any more. Where its lease is over the
// content is broken off before its end, for another gateway may send it; where it is only behind, what is on its way
// goes to its end, and is settled. No other begins before the gateway may do things again.
func TestARunEndsWhereItIs(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(b *beside)
		sent int
	}{
		"the lease is over": {func(b *beside) { b.dead.Store(true) }, 0},
		"it is behind":      {func(b *beside) { b.late.Store(true) }, 1},
	} {
		others := &beside{}
		story(t, func(w *world) {
			stopped := false
			w.broken.reading = func() {
				if !stopped {
					c.stop(others)
					stopped = true
				}
			}
			for i := range 10 {
				w.accept("a@example.test", nil, fmt.Sprintf("x%d@shop.test", i))
			}
			w.start()
			time.Sleep(time.Second)
			delivered := 0
			for _, rec := range w.records(queue.Ordinary) {
				if rec.State == queue.Delivered {
					delivered++
				} else if rec.Attempts != 0 {
					t.Errorf("%s: %v after %d attempts", name, rec.State, rec.Attempts)
				}
			}
			if len(w.shop.Messages()) != c.sent || delivered != c.sent {
				t.Fatalf("%s: %d messages were sent, %d are settled", name, len(w.shop.Messages()), delivered)
			}
			others.dead.Store(false)
			others.late.Store(false)
			time.Sleep(20 * time.Minute)
			if len(w.shop.Messages()) != 10 {
				t.Errorf("%s: in the end %d messages", name, len(w.shop.Messages()))
			}
		}, func(c *dispatch.Config) { c.Others, c.Lease = others, 30*time.Second })
	}
}

// TestWhoIsBehindWhenMAILIsSaidBeginsAnew: nothing was sent, and no attempt is counted.
func TestWhoIsBehindWhenMAILIsSaidBeginsAnew(t *testing.T) {
	others := &beside{}
	others.behind.Store(3)
	story(t, func(w *world) {
		w.start()
		w.accept("a@example.test", nil, "x@shop.test")
		time.Sleep(time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Delivered || rec.Attempts != 1 || len(w.shop.Messages()) != 1 || others.behind.Load() >= 0 {
			t.Errorf("%v after %d attempts", rec.State, rec.Attempts)
		}
	}, func(c *dispatch.Config) { c.Others = others })
}

// cluster is gateways on the store of one world.
type cluster struct {
	w     *world
	board *nodeboard.Board
	all   []*dispatch.Dispatcher
	off   []func()
}

// joined makes n gateways out of a world, which must not have started.
func joined(w *world, n int) *cluster {
	c := &cluster{w: w, board: nodeboard.New()}
	for range n {
		c.join()
	}
	time.Sleep(time.Second)
	return c
}

// join adds a gateway.
func (c *cluster) join() {
	i, w := len(c.all), c.w
	node := nodes.New(nodes.Config{Registry: c.board, Session: fmt.Sprint(i), Name: fmt.Sprint("gw", i)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { node.Run(ctx); ended <- struct{}{} }()
	time.Sleep(time.Second)
	cfg := w.cfg
	cfg.Overlooked = w.overlooked
	cfg.Others, cfg.Worker, cfg.Lease, cfg.Seed = node, fmt.Sprint("gw", i), 30*time.Second, uint64(i)
	d := dispatch.New(cfg)
	go func() {
		if err := d.Run(ctx); err != nil {
			w.t.Error(err)
		}
		ended <- struct{}{}
	}()
	c.all = append(c.all, d)
	c.off = append(c.off, func() { cancel(); <-ended; <-ended; ended <- struct{}{}; ended <- struct{}{} })
}

// overlooked lists the sites at which something is due that nobody has claimed.
func (w *world) overlooked(ctx context.Context) (out []queue.SiteKey, _ error) {
	now := time.Now()
	for rec, err := range w.store.List(ctx, queue.Filter{States: []queue.State{queue.Queued}, Brief: true}) {
		if key := queue.NewSiteKey(rec.NextHop, rec.Requirement); err == nil && !rec.Due.After(now) && !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out, nil
}

// accept queues a message of which every gateway is told.
func (c *cluster) accept(to ...string) {
	var s *queue.Submission
	c.w.accept("a@example.test", func(x *queue.Submission) { s = x }, to...)
	for _, d := range c.all {
		for _, n := range s.Deliveries {
			d.Wake(&s.Message, queue.NewSiteKey(n.NextHop, n.Requirement), n.Due)
		}
	}
}

func (c *cluster) close() {
	for _, off := range c.off {
		off()
	}
}

// connections counts those that came to a partner.
func connections(p *partner.Partner) (n int) {
	for _, c := range p.Commands() {
		if c.Verb == "EHLO" && !c.TLS {
			n++
		}
	}
	return n
}

// TestABrokenPartnerSeesOneProbe, not one of each gateway, however many there are, and whoever has mail for it when.
func TestABrokenPartnerSeesOneProbe(t *testing.T) {
	seen := map[int]int{}
	for _, n := range []int{1, 3} {
		story(t, func(w *world) {
			w.apply(clinicRule)
			w.clinic.Set(w.expired("mx.clinic.test"))
			c := joined(w, n)
			defer c.close()
			for i := range 24 {
				c.accept(fmt.Sprintf("dr%d@clinic.test", i))
				time.Sleep(5 * time.Minute)
			}
			seen[n] = connections(w.clinic)
			for _, rec := range w.records(queue.Ordinary) {
				if rec.State != queue.Queued {
					t.Errorf("it is %v", rec.State)
				}
			}
		}, long)
	}
	if seen[1] < 8 || seen[3] > seen[1]+1 {
		t.Errorf("in two hours one gateway makes %d connections, three make %d", seen[1], seen[3])
	}
}

// TestARepairWinsEverywhereWithinTwoSeconds: the gateway that finds out is gone right after, and another delivers what
// is left.
func TestARepairWinsEverywhereWithinTwoSeconds(t *testing.T) {
	for finder := range 2 {
		story(t, func(w *world) {
			w.apply(clinicRule)
			w.clinic.Set(w.expired("mx.clinic.test"))
			c := joined(w, 2)
			defer c.close()
			for i := range 40 {
				c.accept(fmt.Sprintf("dr%d@clinic.test", i))
			}
			time.Sleep(10 * time.Minute)
			w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Before: func(verb string) {
				if verb == "." {
					time.Sleep(100 * time.Millisecond)
				}
			}})
			sites, err := w.store.Sites(t.Context())
			if err != nil || len(sites) != 1 {
				t.Fatal(sites, err)
			}
			c.all[finder].Kick(t.Context(), sites[0].Key)
			time.Sleep(200 * time.Millisecond)
			c.off[finder]()
			first := len(w.clinic.Messages())
			time.Sleep(2 * time.Second)
			if all := len(w.clinic.Messages()); first == 0 || first > 20 || all < first+5 {
				t.Errorf("after the probe %d messages, after two seconds %d", first, all)
			}
		})
	}
}

// TestWhatWasClaimedForTooLongIsNotBegun: the store answers a claim when its leases are over, and another gateway has
// sent all of it.
func TestWhatWasClaimedForTooLongIsNotBegun(t *testing.T) {
	story(t, func(w *world) {
		w.shop.Set(partner.Behaviour{Replies: map[string]string{"RCPT": "451 4.3.0 later"}})
		var c *cluster
		var late atomic.Int32
		w.broken.claimed = func(works []queue.Work) {
			if len(works) > 0 && works[0].Recipient.Address.Domain.String() == "clinic.test" && late.CompareAndSwap(0, int32(len(works))) {
				time.Sleep(time.Minute)
				for _, d := range c.all {
					d.Wake(&works[0].Message, works[0].Site, time.Now())
				}
				time.Sleep(time.Minute)
			}
		}
		c = joined(w, 2)
		defer c.close()
		for i := range 10 {
			c.accept(fmt.Sprintf("dr%d@clinic.test", i), "waits@shop.test") // so that the content stays
		}
		time.Sleep(10 * time.Minute)
		if n := len(w.clinic.Messages()); n != 10 || late.Load() == 0 {
			t.Errorf("%d messages came, want 10; the answer with %d of them was late", n, late.Load())
		}
	})
}

// TestWhatAGatewayHadInHandGoesOnElsewhere: it stopped with everything that only it knew of; another delivers all of
// it, each message once.
func TestWhatAGatewayHadInHandGoesOnElsewhere(t *testing.T) {
	story(t, func(w *world) {
		c := joined(w, 2)
		defer c.close()
		w.shop.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.shop.test"}}), Before: func(verb string) {
			if verb == "EHLO" {
				time.Sleep(time.Minute)
			}
		}})
		for i := range 40 { // the first alone is told of them
			var s *queue.Submission
			w.accept("a@example.test", func(x *queue.Submission) { s = x }, fmt.Sprintf("x%d@shop.test", i))
			c.all[0].Wake(&s.Message, queue.NewSiteKey(s.Deliveries[0].NextHop, s.Deliveries[0].Requirement), s.Deliveries[0].Due)
		}
		time.Sleep(5 * time.Second)
		c.off[0]()
		w.shop.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.shop.test"}})})
		time.Sleep(2 * time.Minute)
		for _, rec := range w.records(queue.Ordinary) {
			if rec.State != queue.Delivered {
				t.Errorf("%s is %v", rec.Recipient.Address, rec.State)
			}
		}
		if n := len(w.shop.Messages()); n != 40 {
			t.Errorf("%d messages", n)
		}
	})
}

// tally counts the messages that a server has taken, and how many of them side by side at most.
type tally struct {
	sync.Mutex
	now, most, taken int
}

// slow is mx.shop.test taking so long for each message.
func (w *world) slow(c *tally, each time.Duration) partner.Behaviour {
	return partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.shop.test"}}), Before: func(verb string) {
		if verb != "." {
			return
		}
		c.Lock()
		c.now, c.taken = c.now+1, c.taken+1
		c.most = max(c.most, c.now)
		c.Unlock()
		time.Sleep(each)
		c.Lock()
		c.now--
		c.Unlock()
	}}
}

// TestALimitOfASiteIsThatOfAllGateways: one gateway alone has as many connections as it may, two and three together no
// more, and those that stay take what one leaves. While they come and go there may be more for as long as a renewal and
// a batch take.
func TestALimitOfASiteIsThatOfAllGateways(t *testing.T) {
	story(t, func(w *world) {
		var sink tally
		w.shop.Set(w.slow(&sink, 500*time.Millisecond))
		c := joined(w, 1)
		defer c.close()
		n := 0
		// goes has mail for a while and returns how much of it went side by side at most, and how fast.
		goes := func() (side int, rate float64) {
			sink.Lock()
			sink.most, sink.taken = sink.now, 0
			sink.Unlock()
			for range 20 {
				for range 15 {
					n++
					c.accept(fmt.Sprintf("x%d@shop.test", n))
				}
				time.Sleep(time.Second)
			}
			sink.Lock()
			defer sink.Unlock()
			return sink.most, float64(sink.taken) / 20
		}
		look := func(what string) {
			t.Helper()
			time.Sleep(time.Minute) // renewals, and batches that were claimed
			side, rate := goes()
			t.Logf("%s: %d side by side, %.1f a second", what, side, rate)
			if side > 5 || rate < 7 {
				t.Errorf("%s: %d side by side, %.1f a second; want 5, and near 10", what, side, rate)
			}
		}
		goes() // it is not known to take mail before
		look("one gateway")
		c.join()
		look("two gateways")
		c.join()
		look("three gateways")
		c.off[1]()
		look("one is gone")
		c.off[0]()
		look("two are gone")
	}, func(c *dispatch.Config) { c.Schedule.PerSite, c.Batch = 5, 10 })
}

// purgers counts who purges.
type purgers struct {
	queue.Store
	n *atomic.Int32
}

func (p *purgers) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	p.n.Add(1)
	return p.Store.Purge(ctx, before, 1) // slowly
}

// TestOneGatewayPurges: while there is something to purge no other begins, and all of it goes.
func TestOneGatewayPurges(t *testing.T) {
	story(t, func(w *world) {
		var by [3]atomic.Int32
		real := w.cfg.Store
		c := &cluster{w: w, board: nodeboard.New()}
		for i := range by {
			w.cfg.Store = &purgers{real, &by[i]}
			c.join()
		}
		defer c.close()
		time.Sleep(10 * time.Second)
		for i := range 60 {
			c.accept(fmt.Sprintf("x%d@shop.test", i))
		}
		time.Sleep(time.Hour)
		for i := range by {
			by[i].Store(0)
		}
		time.Sleep(2 * time.Hour)
		if n := len(w.records(queue.Ordinary)); n != 0 {
			t.Errorf("%d are left", n)
		}
		busy := 0
		for i := range by {
			if n := by[i].Load(); n > 10 {
				busy++
				t.Logf("gateway %d makes %d steps", i, n)
			}
		}
		if busy != 1 {
			t.Errorf("%d gateways purge", busy)
		}
	}, func(c *dispatch.Config) { c.Retention = time.Hour })
}
