package endurance

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// liar is a resolver that misbehaves in one way for each domain, named after the way, until it is mended. The truth is
// that every name has an MX which has the address of the honest sink; what it lies about is the trap's address.
type liar struct {
	honest, trap string // addresses
	udp          net.PacketConn
	tcp          net.Listener
	other        net.PacketConn // somebody else, who answers too

	mu     sync.Mutex // guards what follows
	mended bool
	asked  map[string]int // by way
}

// ways are how it misbehaves. Some are harmless: a true answer that comes later must be waited for.
var ways = []string{"down", "slow", "servfail", "refused", "garbage", "empty-header", "wrong-id", "wrong-question", "no-question", "other-sender",
	"spoofed-first", "truncated", "truncated-tcp-refused", "truncated-tcp-garbage", "truncated-tcp-lies", "query-back", "cname-loop"}

// harmless ways let mail through at once.
var harmless = []string{"slow", "spoofed-first", "truncated"}

func newLiar(t *testing.T, honest, trap string) *liar {
	t.Helper()
	d := &liar{honest: honest, trap: trap, asked: map[string]int{}}
	var err error
	for range 20 { // a port that is free for both
		if d.udp, err = net.ListenPacket("udp", newIP()+":0"); err != nil {
			continue
		}
		if d.tcp, err = net.Listen("tcp", d.udp.LocalAddr().String()); err == nil {
			break
		}
		d.udp.Close()
	}
	if err == nil {
		d.other, err = net.ListenPacket("udp", newIP()+":0")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.udp.Close(); d.tcp.Close(); d.other.Close() })
	go d.serveUDP()
	go d.serveTCP()
	return d
}

func (d *liar) mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mended = true
}

// way is how a question is answered, "" honestly.
func (d *liar) way(q *wire.Msg) string {
	name := strings.TrimSuffix(strings.ToLower(q.Question[0].Name), ".test.")
	name = name[strings.LastIndexByte(name, '.')+1:]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[name]++
	if name != "fooled" && (d.mended || !slices.Contains(ways, name)) {
		return ""
	}
	return name
}

// answer is what a name has, with the address given.
func answer(q *wire.Msg, address string) *wire.Msg {
	m := new(wire.Msg).SetReply(q)
	m.RecursionAvailable = true
	name := q.Question[0].Name
	var text string
	switch q.Question[0].Qtype {
	case wire.TypeMX:
		if !strings.HasPrefix(name, "mx.") {
			text = name + " 1 IN MX 10 mx." + name
		}
	case wire.TypeA:
		text = name + " 1 IN A " + address
	}
	if text != "" {
		rr, err := wire.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func (d *liar) serveUDP() {
	buf := make([]byte, 4096)
	for {
		n, from, err := d.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		q := new(wire.Msg)
		if q.Unpack(buf[:n]) == nil && len(q.Question) == 1 {
			go d.reply(q, slices.Clone(buf[:n]), from)
		}
	}
}

// reply answers one question over UDP.
func (d *liar) reply(q *wire.Msg, raw []byte, from net.Addr) {
	send := func(c net.PacketConn, m *wire.Msg) {
		if b, err := m.Pack(); err == nil {
			_, _ = c.WriteTo(b, from) // a client that is gone
		}
	}
	truth, lie := answer(q, d.honest), answer(q, d.trap)
	switch way := d.way(q); way {
	case "":
		send(d.udp, truth)
	case "fooled": // a lie in due form
		send(d.udp, lie)
	case "down":
	case "slow":
		time.Sleep(800 * time.Millisecond)
		send(d.udp, truth)
	case "servfail", "refused":
		lie.Answer, lie.Rcode = nil, map[string]int{"servfail": wire.RcodeServerFailure, "refused": wire.RcodeRefused}[way]
		send(d.udp, lie)
	case "garbage":
		_, _ = d.udp.WriteTo([]byte("\x00\x01\x02"), from)
	case "empty-header":
		_, _ = d.udp.WriteTo(append(raw[:2:2], make([]byte, 10)...), from)
	case "wrong-id":
		for i := range 50 {
			lie.Id = q.Id + 1 + uint16(i)
			send(d.udp, lie)
		}
	case "wrong-question":
		lie.Question[0].Name = "other.test."
		send(d.udp, lie)
	case "no-question":
		lie.Question = nil
		send(d.udp, lie)
	case "other-sender":
		send(d.other, lie)
	case "spoofed-first":
		send(d.other, lie)
		lie.Id++
		send(d.udp, lie)
		send(d.udp, truth)
	case "query-back":
		_, _ = d.udp.WriteTo(raw, from)
	case "cname-loop":
		lie.Answer = nil
		for _, pair := range []string{"%s 1 IN CNAME x.%s", "x.%[2]s 1 IN CNAME %[1]s"} {
			rr, err := wire.NewRR(fmt.Sprintf(pair+"%.0s", q.Question[0].Name, q.Question[0].Name, ""))
			if err == nil {
				lie.Answer = append(lie.Answer, rr)
			}
		}
		send(d.udp, lie)
	default: // truncated: what is there of the answer is a lie
		lie.Truncated = true
		send(d.udp, lie)
	}
}

func (d *liar) serveTCP() {
	for {
		c, err := d.tcp.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for d.answerTCP(c) {
			}
		}()
	}
}

func (d *liar) answerTCP(c net.Conn) bool {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return false
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, raw); err != nil {
		return false
	}
	q := new(wire.Msg)
	if q.Unpack(raw) != nil || len(q.Question) != 1 {
		return false
	}
	m := answer(q, d.honest)
	switch d.way(q) {
	case "", "truncated", "slow", "spoofed-first":
	case "truncated-tcp-lies":
		m = answer(q, d.trap)
		m.Id++
	case "truncated-tcp-garbage":
		_, err := c.Write([]byte("\xff\xffgarbage"))
		return err == nil
	default:
		return false
	}
	b, err := m.Pack()
	if err != nil {
		return false
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err == nil
}

// Whatever a resolver does, mail waits rather than being returned or going where a lie points, and goes once the
// resolver is well again. A true answer behind forged ones is found.
func TestALyingResolverLeadsNoMailAstray(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	port := s.l.Addr().(*net.TCPAddr).Port
	trap, err := net.Listen("tcp", fmt.Sprintf("%s:%d", newIP(), port))
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	trapped := make(chan string, 100)
	go func() {
		for {
			c, err := trap.Accept()
			if err != nil {
				return
			}
			trapped <- c.RemoteAddr().String()
			c.Close()
		}
	}()
	host := func(a net.Addr) string { return a.(*net.TCPAddr).IP.String() }
	d := newLiar(t, host(s.l.Addr()), host(trap.Addr()))
	g := newGateway(t, "")
	g.settings["dns.servers"] = fmt.Sprintf("[%q]", d.udp.LocalAddr())
	g.settings["delivery.port"] = fmt.Sprint(port)
	g.settings["delivery.attempt_timeout"] = `"20s"`
	g.settings["delivery.retry"] = `["2s"]`
	g.start()
	var all, early []string
	for _, way := range ways {
		if err := g.send(way+".", "x", "bob@"+way+".test"); err != nil {
			t.Fatal(err)
		}
		all = append(all, way+".")
		if slices.Contains(harmless, way) {
			early = append(early, way+".")
		}
	}
	s.arrived(t, early, patience, 0)
	time.Sleep(either(2*time.Second, 5*time.Minute))
	for _, way := range ways {
		if s.has(way+".") != slices.Contains(harmless, way) {
			t.Errorf("%s: arrived is %v", way, s.has(way+"."))
		}
	}
	if n := g.waiting(); n != len(ways)-len(early) {
		out, _ := g.postern("trace")
		t.Errorf("%d deliveries wait, want %d:\n%s", n, len(ways)-len(early), out)
	}
	d.mend()
	s.arrived(t, all, 2*patience, 0)
	select {
	case from := <-trapped:
		t.Errorf("a connection from %s went where a lie pointed", from)
	default:
	}
	if different, _ := s.taken(); different != len(ways) {
		t.Errorf("%d messages arrived, %d were sent", different, len(ways))
	}
	if err := g.send("fooled.", "x", "bob@fooled.test"); err != nil { // the control: who is believed leads there
		t.Fatal(err)
	}
	select {
	case <-trapped:
	case <-time.After(patience):
		t.Error("the trap cannot be reached at all")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for way, n := range d.asked {
		if n > either(200, 20_000) {
			t.Errorf("%s was asked %d times", way, n)
		}
	}
}
