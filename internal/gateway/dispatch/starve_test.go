package dispatch_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/gateway/dispatch"
	"postern/internal/mail"
	"postern/internal/queue"
)

// within is how long mail that nothing is wrong with may wait, whatever others do.
const within = 3 * time.Second

// destinations is how many there are in a flood: more than there are places, overtime included.
const destinations = 420

// hang is where a destination stops answering. sound never does.
type hang string

const sound hang = ""

var hangs = []hang{"dns", "connect", "greeting", "EHLO", "STARTTLS", "handshake", "MAIL", "RCPT", "DATA", "."}

// tarpits are destinations of a stranger: as many hosts with an address of their own as wanted, which all hang alike.
type tarpits struct {
	w  *world
	at atomic.Value // hang
	n  int
	// most is how many sessions were open at a time.
	open, most atomic.Int64
	taken      atomic.Int64 // messages
}

// tarpits makes n destinations, tN.evil.test. With one host all are behind the same address and name.
func (w *world) tarpits(n int, at hang, oneHost bool) *tarpits {
	t := &tarpits{w: w, n: n}
	t.at.Store(at)
	var zone strings.Builder
	zone.WriteString(zoneText)
	hosts := n
	if oneHost {
		hosts = 1
	}
	for i := range n {
		fmt.Fprintf(&zone, "t%d.evil.test. MX 10 mx%d.evil.test.\n", i, i%hosts)
		fmt.Fprintf(&zone, "new%d.test. MX 10 mx.shop.test.\n", i)
	}
	for i := range hosts {
		ip := fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)
		fmt.Fprintf(&zone, "mx%d.evil.test. A %s\n", i, ip)
		if at == "connect" {
			w.net.Blackhole(ip)
			continue
		}
		l, err := w.net.Listen(ip + ":25")
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = l.Close() })
		go t.listen(l)
	}
	w.zone(zone.String())
	if at == "dns" {
		var r dns.Resolver = silent{w.dns.now()}
		w.dns.zone.Store(&r)
	}
	return t
}

func (t *tarpits) listen(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go t.serve(nc)
	}
}

// serve speaks SMTP until it hangs.
func (t *tarpits) serve(nc net.Conn) {
	defer nc.Close()
	for n := t.open.Add(1); ; {
		most := t.most.Load()
		if n <= most || t.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer t.open.Add(-1)
	at := t.at.Load().(hang)
	in := bufio.NewReader(nc)
	stuck := func() { _, _ = in.WriteTo(nothing{}) } // until the other side closes
	if at == "greeting" {
		stuck()
		return
	}
	fmt.Fprint(nc, "220 tarpit\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		if string(at) == verb {
			stuck()
			return
		}
		switch verb {
		case "EHLO":
			offer := "250 SIZE"
			if at == "STARTTLS" || at == "handshake" {
				offer = "250 STARTTLS"
			}
			fmt.Fprintf(nc, "250-tarpit\r\n%s\r\n", offer)
		case "STARTTLS":
			fmt.Fprint(nc, "220 go on\r\n")
			stuck()
			return
		case "DATA":
			fmt.Fprint(nc, "354 go on\r\n")
			for line != ".\r\n" {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
			}
			if at == "." {
				stuck()
				return
			}
			if at == "9 minutes" {
				time.Sleep(9 * time.Minute)
			}
			t.taken.Add(1)
			fmt.Fprint(nc, "250 taken\r\n")
		case "QUIT":
			fmt.Fprint(nc, "221 bye\r\n")
			return
		default:
			fmt.Fprint(nc, "250 fine\r\n")
		}
	}
}

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }

// silent is a resolver that gets no answer from the name servers of evil.test.
type silent struct{ dns.Resolver }

func (s silent) MX(ctx context.Context, d mail.Domain) (dns.MXAnswer, error) {
	if strings.HasSuffix(d.String(), "evil.test") {
		<-ctx.Done()
		return dns.MXAnswer{}, &dns.Error{Kind: dns.Timeout}
	}
	return s.Resolver.MX(ctx, d)
}

// reports queues what forged senders make of us: a notice to each destination, all within two seconds.
func (t *tarpits) reports() {
	for i := range t.n {
		t.w.accept("", func(s *queue.Submission) { s.Message.Kind = queue.DSN }, fmt.Sprintf("someone@t%d.evil.test", i))
		time.Sleep(2 * time.Second / time.Duration(t.n))
	}
}

// message is one of a user to all destinations.
func (t *tarpits) message() {
	var to []string
	for i := range t.n {
		to = append(to, fmt.Sprintf("someone@t%d.evil.test", i))
	}
	t.w.accept("list@example.test", nil, to...)
}

// many are messages of many users, each to some destinations.
func (t *tarpits) many() {
	for i := range t.n {
		t.w.accept(fmt.Sprintf("u%d@example.test", i/20), nil, fmt.Sprintf("someone@t%d.evil.test", i))
	}
}

// later sends mail to every destination while it still answers, and then what hangs.
func (t *tarpits) later(flood func(*tarpits)) {
	at := t.at.Swap(sound).(hang)
	t.many()
	time.Sleep(time.Minute)
	if n := len(t.w.records(queue.Ordinary)); n < t.n {
		t.w.t.Fatalf("%d messages of %d", n, t.n)
	}
	t.at.Store(at)
	flood(t)
}

// victims sends what nothing is wrong with, again and again for minutes, and wants it delivered within seconds: to our
// own server, to a partner that took mail lately, and to one that nobody ever wrote to.
func (t *tarpits) victims(patience time.Duration) {
	w := t.w
	serial := 0
	for _, pause := range []time.Duration{0, time.Second, 10 * time.Second, 10 * time.Second, 5 * time.Second, time.Minute, 3 * time.Minute} {
		time.Sleep(pause)
		started := time.Now()
		ids := map[string]queue.ID{
			"our own server":        w.accept("x@shop.test", nil, "me@example.test"),
			"a partner that works":  w.accept("boss@example.test", nil, "dr@clinic.test"),
			"a partner never tried": w.accept("me@example.test", nil, fmt.Sprintf("x@new%d.test", serial)),
		}
		serial++
		time.Sleep(within)
		for who, id := range ids {
			if who != "our own server" {
				time.Sleep(max(0, patience-time.Since(started)))
			}
			if s := w.state(id); s != queue.Delivered {
				w.t.Errorf("mail to %s is %v after %v", who, s, time.Since(started))
			}
		}
	}
}

// state is what became of a message with one recipient.
func (w *world) state(id queue.ID) queue.State {
	for rec, err := range w.store.List(context.Background(), queue.Filter{IDs: []queue.ID{id}}) {
		if err != nil {
			w.t.Fatal(err)
		}
		return rec.State
	}
	return 0
}

// starve plays a flood against the victims.
func starve(t *testing.T, at hang, oneHost bool, flood func(*tarpits), patience time.Duration) {
	story(t, func(w *world) {
		pits := w.tarpits(destinations, at, oneHost)
		w.start()
		w.accept("boss@example.test", nil, "dr@clinic.test") // it works
		time.Sleep(time.Minute)
		flood(pits)
		pits.victims(patience)
		t.Logf("at most %d sessions were open there", pits.most.Load())
	}, func(c *dispatch.Config) { c.Schedule.Total = 200 })
}

func TestWhoeverHangsStarvesNobody(t *testing.T) {
	const slowAfter = 10 * time.Second
	for _, c := range []struct {
		name  string
		flood func(*tarpits)
		// patience is how long mail to a partner may wait. So many users write to what hangs that they can hold every
		// place at a time; then it takes until the first are slow.
		patience time.Duration
	}{
		{"reports of forged senders", (*tarpits).reports, within},
		{"one message of a user", (*tarpits).message, within},
		{"mail of many users", (*tarpits).many, slowAfter + within},
	} {
		for _, at := range hangs {
			if testing.Short() { // the race detector has nothing to find in the others
				if at == "." {
					t.Run(c.name+"/later/"+string(at), func(t *testing.T) {
						starve(t, at, false, func(p *tarpits) { p.later(c.flood) }, c.patience)
					})
				}
				continue
			}
			t.Run(c.name+"/"+string(at), func(t *testing.T) { starve(t, at, false, c.flood, c.patience) })
			if at == "connect" || at == "RCPT" || at == "." {
				t.Run(c.name+"/one host/"+string(at), func(t *testing.T) { starve(t, at, true, c.flood, c.patience) })
			}
			if at == "greeting" || at == "." {
				later := func(p *tarpits) { p.later(c.flood) }
				t.Run(c.name+"/later/"+string(at), func(t *testing.T) { starve(t, at, false, later, c.patience) })
				t.Run(c.name+"/later, one host/"+string(at), func(t *testing.T) { starve(t, at, true, later, c.patience) })
			}
		}
	}
}
