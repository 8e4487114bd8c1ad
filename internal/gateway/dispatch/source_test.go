package dispatch_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/deliver"
	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/route"
	"postern/internal/smtp/smtpclient"
)

// sources notes which address each connection came from.
type sources struct {
	w    *world
	mu   sync.Mutex
	used []string
}

func (s *sources) from(a netip.Addr) deliver.Dialer { return dialFrom{s, a} }

type dialFrom struct {
	s *sources
	a netip.Addr
}

func (d dialFrom) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.s.mu.Lock()
	d.s.used = append(d.s.used, d.a.String())
	d.s.mu.Unlock()
	return d.s.w.net.Dialer(d.a.String()).DialContext(ctx, network, address)
}

// TestAnOpenConnectionCarriesMailOfItsSourceAlone: two domains with the same hosts and two sources, recipients of one
// message among them, and a reload while a connection waits for more.
func TestAnOpenConnectionCarriesMailOfItsSourceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sources{}
		w := newWorld(t, func(c *dispatch.Config) { c.Linger = time.Hour })
		s.w = w
		w.cfg.Opener = deliver.New(deliver.Config{Dialer: w.net.Dialer("192.0.2.1"), From: s.from, SMTP: smtpclient.Config{Hello: "gw.example.test"},
			Roots: func(...string) (map[string]*x509.CertPool, error) { return *w.pools.Load(), nil }})
		w.d = w.renewed()
		defer w.close()
		shop := []route.HostPort{{IP: netip.MustParseAddr("192.0.2.20"), Port: 25}}
		routed := func(general string) func(*route.Config) {
			return func(c *route.Config) {
				w.owns(c)
				c.Manner.Source.V4 = netip.MustParseAddr(general)
				one, two := route.Manner{}, route.Manner{}
				one.Source.V4, two.Source.V4 = netip.MustParseAddr("192.0.2.51"), netip.MustParseAddr("192.0.2.52")
				c.Routes = []route.Route{{Match: []string{"one.test"}, To: shop, Manner: one}, {Match: []string{"two.test"}, To: shop, Manner: two},
					{Match: []string{"three.test"}, To: shop}}
			}
		}
		w.reload(routed("192.0.2.50"))
		w.start()
		w.accept("a@example.test", nil, "b@one.test", "b@two.test", "b@three.test")
		time.Sleep(time.Minute)
		w.accept("a@example.test", nil, "c@one.test", "c@two.test", "c@three.test")
		time.Sleep(time.Minute)
		taken := func(want ...string) {
			t.Helper()
			s.mu.Lock()
			defer s.mu.Unlock()
			slices.Sort(s.used)
			if !slices.Equal(s.used, want) {
				t.Errorf("connections from %v, want %v", s.used, want)
			}
			s.used = nil
		}
		taken("192.0.2.50", "192.0.2.51", "192.0.2.52")
		if n := len(w.shop.Messages()); n != 6 {
			t.Errorf("%d messages came", n)
		}
		w.reload(routed("192.0.2.60"))
		w.accept("a@example.test", nil, "d@one.test", "d@two.test", "d@three.test", "d@example.test")
		time.Sleep(time.Minute)
		if n := len(w.shop.Messages()) + len(w.own.Messages()); n != 10 {
			t.Errorf("%d messages came", n)
		}
		s.mu.Lock()
		if !slices.Contains(s.used, "192.0.2.60") || slices.Contains(s.used, "192.0.2.50") {
			t.Errorf("after the reload, connections from %v", s.used)
		}
		s.mu.Unlock()
	})
}
