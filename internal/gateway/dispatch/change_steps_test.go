package dispatch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/waiting"
	"postern/internal/queue"
)

// step does one thing, lets it reach what waits, and lets time pass.
func (c *changing) step(i int) {
	synctest.Wait() // nobody is between a judgement and a word
	switch n := c.r.IntN(22); {
	case n < 6:
		c.accept(i)
	case n < 10:
		at := []string{"clinic", "shop", "mx2", "inner"}[c.r.IntN(4)]
		c.say(i, "another behaviour of %s", at)
		c.behave(at, c.r.IntN(2) == 0)
	case n < 14:
		c.rules(i, false)
	case n < 15:
		c.rules(i, true)
	case n < 16:
		c.again(i)
	case n < 18:
		c.tables(i)
	case n < 19:
		c.files(i)
	case n < 20:
		c.restart(i)
	default:
		c.release(i, n == 21)
	}
	synctest.Wait()
	c.w.mu.Lock()
	c.audit()
	c.wait()
	c.w.mu.Unlock()
	c.rest([]time.Duration{0, time.Second, 10 * time.Second, 2 * time.Minute, 20 * time.Minute}[c.r.IntN(5)])
}

func (c *changing) rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (c *changing) say(i int, format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf("%3d %s ", i, time.Now().Format("02 15:04:05"))+fmt.Sprintf(format, args...))
}

func (c *changing) accept(i int) {
	local := fmt.Sprintf("m%d", i)
	l := &letter{to: [][]string{{"clinic.test"}, {"clinic.test"}, {"shop.test"}, {"clinic.test", "shop.test"}}[c.r.IntN(4)], kept: map[string]*held{}}
	var to []string
	for _, d := range l.to {
		demands := c.present(l, d)
		l.kept[d] = exactly(c.now, demands)
		to = append(to, "x@"+d)
		c.say(i, "message %s to %s demands %v", local, d, demands)
	}
	c.w.accept(local+"@example.test", func(s *queue.Submission) { // before anybody sends it
		c.w.mu.Lock()
		defer c.w.mu.Unlock()
		c.letters[local], c.byID[s.Message.ID] = l, l
	}, to...)
}

// change puts another moment in force.
func (c *changing) change(f func(m *moment)) {
	next := *c.now
	next.rules = slices.Clone(c.now.rules)
	f(&next)
	c.w.mu.Lock()
	c.now = &next
	c.w.mu.Unlock()
}

// retable changes the tables. Where they say what they said, nothing else is in force: what was lowered stays so.
func (c *changing) retable(f func(m *moment)) {
	next := *c.now
	if f(&next); next.tables() != c.now.tables() {
		c.change(f)
		return
	}
	c.w.mu.Lock()
	*c.now = next
	c.w.mu.Unlock()
}

// rules applies other rules: one comes, goes, is corrected, put under test, renamed or given an end.
func (c *changing) rules(i int, letGo bool) {
	c.change(func(m *moment) {
		if k := len(m.rules); k > 0 && c.r.IntN(3) > 0 {
			at := c.r.IntN(k)
			r := &m.rules[at]
			switch c.r.IntN(9) {
			case 0:
				m.rules = slices.Delete(m.rules, at, at+1)
			case 1:
				r.test = !r.test
			case 2:
				name := fmt.Sprintf("%s%d", r.name[:3], i)
				if r.expires.IsZero() {
					r.name = name
				}
			case 3, 4:
				if r.expires.IsZero() {
					r.floor = tls.VersionTLS12 + tls.VersionTLS13 - r.floor
				}
			default:
				r.wanted = c.demand()
			}
			return
		}
		r := ruled{wanted: c.demand(), all: c.r.IntN(3) == 0}
		if r.name = []string{"one", "two", "six"}[c.r.IntN(3)]; c.r.IntN(4) == 0 {
			r.name = "brief" // with a demand that no other has
			r.expires = time.Now().Add(time.Duration(1+c.r.IntN(120)) * time.Minute).Truncate(time.Second)
			r.wanted = wanted{trust: "right.pem", names: "hosts", floor: tls.VersionTLS12}
		}
		m.rules = append(slices.DeleteFunc(m.rules, func(o ruled) bool { return o.name == r.name }), r)
	})
	c.apply(i, letGo)
}

func (c *changing) demand() wanted {
	pick := func(of ...string) string { return of[c.r.IntN(len(of))] }
	return wanted{trust: pick("public", "public", "wrong.pem", "flip.pem"), names: pick("mx", "mx", "hosts", "alt"), pin: pick("", "", "main", "bad"),
		floor: []uint16{tls.VersionTLS12, tls.VersionTLS13}[c.r.IntN(2)]}
}

func (c *changing) text() string {
	var b strings.Builder
	for i := range c.now.rules {
		b.WriteString(c.now.rules[i].toml(c.pins))
	}
	return b.String()
}

func (c *changing) apply(i int, letGo bool) {
	c.say(i, "rules, let go %v: %+v", letGo, c.now.rules)
	if _, err := c.service.For(access.Root("story")).ApplyRules(context.Background(), admin.ApplyRequest{Text: c.text(), LetWaitingGo: letGo}); err != nil {
		c.t.Fatal(err)
	}
}

// again applies the same rules: another moment, for what was lowered is judged anew.
func (c *changing) again(i int) {
	c.change(func(*moment) {})
	c.apply(i, false)
}

func (c *changing) tables(i int) {
	what, trust := c.r.IntN(3), []string{"", "right.pem", "flip.pem"}[c.r.IntN(3)]
	c.retable(func(m *moment) {
		switch what {
		case 0:
			m.own = !m.own
		case 1:
			m.ownTrust = trust
		default:
			m.routed = !m.routed
		}
	})
	c.say(i, "tables: own %v %q, routed %v", c.now.own, c.now.ownTrust, c.now.routed)
	c.w.reload(c.config)
}

// config is the tables of this moment.
func (c *changing) config(r *route.Config) {
	c.w.owns(r)
	if c.now.own {
		own := route.Own{Domain: mail.MustDomain("clinic.test"), To: []route.HostPort{{IP: netip.MustParseAddr("192.0.2.77"), Port: 25}}}
		if own.Trust = c.now.ownTrust; own.Trust != "" {
			own.Require = 2 // authenticated
		}
		r.Own = append(r.Own, own)
	}
	if c.now.routed {
		r.Routes = []route.Route{{Match: []string{"shop.test"}, To: []route.HostPort{{Host: mail.MustDomain("mx2.shop.test"), Port: 25}}}}
	}
}

// flip puts the file flip.pem in place.
func (c *changing) flip() {
	ca := c.w.ca
	if c.now.flip == "other" {
		ca = c.w.other
	}
	c.w.trust(map[string]*x509.CertPool{"flip.pem": ca.Pool()})
	c.w.files.Store(c.now.flip)
}

func (c *changing) files(i int) {
	c.change(func(m *moment) { m.flip = map[string]string{"main": "other", "other": "main"}[m.flip] })
	c.say(i, "flip.pem is of %s", c.now.flip)
	c.flip()
	if _, err := c.w.keeper.Tend(context.Background()); err != nil {
		c.t.Fatal(err)
	}
	c.w.d.Changed()
}

// restart starts the gateway anew, with other tables or the same.
func (c *changing) restart(i int) {
	c.w.halt()
	if c.r.IntN(2) == 0 {
		own, routed := c.r.IntN(2) == 0, c.r.IntN(2) == 0
		c.retable(func(m *moment) { m.own, m.routed = own, routed })
	}
	c.say(i, "restart: own %v %q, routed %v", c.now.own, c.now.ownTrust, c.now.routed)
	c.w.again(c.config)
	c.service = admin.New(admin.Config{Store: c.w.store, Ledger: c.w.store, Rules: c.w.keeper, Dispatcher: told{c.w}})
	synctest.Wait()
}

// release judges anew or lowers what waits for a domain.
func (c *changing) release(i int, lower bool) {
	domain := []string{"clinic.test", "shop.test"}[c.r.IntN(2)]
	c.say(i, "release %s, lower %v", domain, lower)
	_, err := c.service.For(access.Root("story")).Act(context.Background(), waiting.ActRequest{Kind: queue.Release, Domains: []string{domain}, Lower: lower, Rejudge: !lower})
	if err != nil {
		c.t.Fatal(err)
	}
}

// sent waits until what is being sent has ended, for nothing of it is changed before.
func (c *changing) sent() {
	for range 60 {
		c.rest(2 * time.Minute)
		n := 0
		for range c.w.store.List(context.Background(), queue.Filter{States: []queue.State{queue.Sending}}) {
			n++
		}
		if n == 0 {
			return
		}
	}
	c.fault("something is being sent without an end")
}

// end puts everything right. What waits goes, once an administrator has said that it may have what is in force and no
// more.
func (c *changing) end() {
	for at := range c.servers {
		c.behave(at, true)
	}
	c.sent()
	c.change(func(m *moment) { m.flip, m.own, m.routed = "main", false, false })
	c.flip()
	c.w.reload(c.config)
	c.rest(0)
	c.change(func(m *moment) {
		m.rules = []ruled{{wanted: wanted{trust: "public", names: "mx", floor: tls.VersionTLS12}, name: "one"}}
	})
	c.apply(-1, true)
	c.sent()
	if _, err := c.service.For(access.Root("story")).Act(context.Background(), waiting.ActRequest{Kind: queue.Release, All: true, Rejudge: true}); err != nil {
		c.t.Fatal(err)
	}
	c.rest(20 * time.Minute)
	for rec, err := range c.w.store.List(context.Background(), queue.Filter{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		if rec.Message.Kind == queue.Ordinary && rec.State.Waiting() {
			c.fault("%s to %s still waits (%s), demanding %+v", rec.Message.Envelope.From, rec.Recipient.Address, rec.Why(), rec.Demands)
		}
	}
}
