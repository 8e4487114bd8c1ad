package examiner_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"crypto/x509"

	"postern/internal/check"
	"postern/internal/check/examiner"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
)

func targets(texts ...string) iter.Seq[check.Target] {
	return func(yield func(check.Target) bool) {
		for _, text := range texts {
			t, err := check.Parse(text)
			if err != nil {
				panic(err)
			}
			if !yield(t) {
				return
			}
		}
	}
}

// counting is a dialer that counts connections that are open at a time.
type counting struct {
	net.Dialer
	open, most atomic.Int64
}

func (c *counting) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := c.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	for n := c.open.Add(1); ; {
		most := c.most.Load()
		if n <= most || c.most.CompareAndSwap(most, n) {
			break
		}
	}
	return &counted{Conn: nc, c: c}, nil
}

type counted struct {
	net.Conn
	c    *counting
	once atomic.Bool
}

func (c *counted) Close() error {
	if !c.once.Swap(true) {
		c.c.open.Add(-1)
	}
	return c.Conn.Close()
}

// crowd is one partner on the loopback that is the MX of every domain.
func crowd(t testing.TB, jobs int) (*examiner.Checker, *counting) {
	ca := pki.New(time.Now(), "Crowd CA")
	p, err := partner.Listen("mx.test", "127.0.0.1:0", partner.Behaviour{TLS: serverTLS(ca, "mx.test")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	port := p.Addr().(*net.TCPAddr).Port
	d := &counting{}
	roots := map[string]*x509.CertPool{policy.PublicTrust: ca.Pool()}
	c, err := examiner.New(examiner.Config{
		Route: route.Config{Hostname: mail.MustDomain("gw.example.test"), Port: uint16(port),
			Resolver: zone.New(t, "*.crowd.test MX 10 mx.test\nmx.test A 127.0.0.1\n")},
		Deliver: deliver.Config{Dialer: d, Roots: func(...string) (map[string]*x509.CertPool, error) { return roots, nil }},
		Jobs:    jobs,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

func numbered(n int) iter.Seq[check.Target] {
	return func(yield func(check.Target) bool) {
		for i := range n {
			t, err := check.Parse(fmt.Sprintf("d%d.crowd.test", i))
			if err != nil || !yield(t) {
				return
			}
		}
	}
}

func TestManyTargetsAreCheckedInOrderWithinBounds(t *testing.T) {
	const n, jobs = 200, 4
	c, d := crowd(t, jobs)
	before := runtime.NumGoroutine()
	next, most := 0, 0
	var early, late uint64
	err := c.Run(context.Background(), numbered(n), func(r *check.Report) error {
		if want := fmt.Sprintf("d%d.crowd.test", next); r.Target != want {
			t.Errorf("%s came where %s was due", r.Target, want)
		}
		if v := r.Find(check.ForceTLS); !v.Passes() {
			t.Errorf("%s: %s %s", r.Target, v.Reason, v.Text)
		}
		next++
		most = max(most, runtime.NumGoroutine()-before)
		switch next {
		case 50:
			early = heap()
		case n:
			late = heap()
		}
		return nil
	})
	if err != nil || next != n {
		t.Fatalf("%d reports: %v", next, err)
	}
	if open := d.most.Load(); open > jobs {
		t.Errorf("%d connections at a time, with %d jobs", open, jobs)
	}
	// A job has its look-ups, a watch on its context, and the partner's session at the other end.
	if most > 12*jobs+10 {
		t.Errorf("%d goroutines with %d jobs", most, jobs)
	}
	if late > early+4<<20 {
		t.Errorf("memory grew from %d kB after 50 targets to %d kB after %d", early>>10, late>>10, n)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestARunEndsWithItsContextAndWithWhoeverListens(t *testing.T) {
	c, _ := crowd(t, 4)
	enough := errors.New("enough")
	seen := 0
	err := c.Run(context.Background(), numbered(1<<30), func(*check.Report) error {
		if seen++; seen == 5 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 5 {
		t.Errorf("after %d reports: %v", seen, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = c.Run(ctx, numbered(1<<30), func(*check.Report) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func BenchmarkTargets(b *testing.B) {
	c, _ := crowd(b, 8)
	b.ResetTimer()
	if err := c.Run(context.Background(), numbered(b.N), func(*check.Report) error { return nil }); err != nil {
		b.Fatal(err)
	}
}
