package dispatch_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/dispatch"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/history/peers/memory"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
	"postern/internal/queue/schedule"
	"postern/internal/smtp/smtpclient"
)

const zoneText = `
clinic.test.      MX 10 mx.clinic.test.
mx.clinic.test.   A 192.0.2.10
shop.test.        MX 10 mx.shop.test.
mx.shop.test.     A 192.0.2.20
`

// world is a gateway without its receiving side, between partners, in a synctest bubble. The sender's own server is at
// 192.0.2.99 and has a certificate of the public CA.
type world struct {
	t      *testing.T
	net    *memnet.Network
	ca     *pki.CA
	store  *memstore.Store
	d      *dispatch.Dispatcher
	keeper *inforce.Keeper
	cfg    dispatch.Config
	files  atomic.Value // string, see digest
	pools  atomic.Pointer[map[string]*x509.CertPool]
	other  *pki.CA
	dns    *dnsNow
	// unread and unwritten: the book of pins cannot be read, no first use be written.
	unread, unwritten bool
	// shape changes what is accepted before it is judged.
	shape  func(*queue.Message)
	stop   context.CancelFunc
	done   chan struct{}
	serial uint32

	clinic, shop, own *partner.Partner

	clients inforce.Clients

	// broken is what is wrong with the store and the rules; heard is called with every event.
	broken faults
	heard  func(event.Event)
	memory *memory.Memory // under broken.mu; see remember

	mu     sync.Mutex
	events []event.Event
}

// faults are errors that a test makes happen; nil functions make none. They run under mu, and so does what changes them
// once the world has started (see change).
type faults struct {
	mu     sync.Mutex
	settle func(queue.Batch) error
	draft  func() error
	open   func(context.Context) error
	rules  func() error
	cut    bool // stored contents end early
	lost   bool // stored contents are opened, and then the store is away
	// claimed, where it is set before the world starts, is called with what was claimed before the claimant has it. It
	// does not run under mu.
	claimed func([]queue.Work)
	// reading, where it is set before the world starts, is called when a stored content is first read, which is when a
	// peer has said 354.
	reading func()
}

// ask runs a fault, if there is one.
func (f *faults) ask(fault func() error, is bool) (err error) {
	if is {
		f.change(func() { err = fault() })
	}
	return err
}

// change changes faults, or what they look at, while the world runs.
func (f *faults) change(by func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	by()
}

// faulty is a store between the dispatcher and memstore that fails as the test says.
type faulty struct {
	*memstore.Store
	f *faults
}

func (s faulty) Claim(ctx context.Context, c queue.Claim) ([]queue.Work, error) {
	works, err := s.Store.Claim(ctx, c)
	var slow func([]queue.Work)
	s.f.change(func() { slow = s.f.claimed })
	if slow != nil {
		slow(works)
	}
	return works, err
}

func (s faulty) Settle(ctx context.Context, b queue.Batch) error {
	if err := s.f.ask(func() error { return s.f.settle(b) }, s.f.settle != nil); err != nil {
		return err
	}
	return s.Store.Settle(ctx, b)
}

func (s faulty) NewDraft(ctx context.Context) (queue.Draft, error) {
	if err := s.f.ask(func() error { return s.f.draft() }, s.f.draft != nil); err != nil {
		return nil, err
	}
	return s.Store.NewDraft(ctx)
}

func (s faulty) Open(ctx context.Context, id queue.ID) (io.ReadSeekCloser, error) {
	if err := s.f.ask(func() error { return s.f.open(ctx) }, s.f.open != nil); err != nil {
		return nil, err
	}
	body, err := s.Store.Open(ctx, id)
	s.f.change(func() {
		if err == nil && s.f.cut {
			body = short{strings.NewReader("Subject: cut\r\n\r\n")}
		}
		if err == nil && s.f.lost {
			body = lost{body}
		}
	})
	if err == nil && s.f.reading != nil {
		body = &noticed{ReadSeekCloser: body, first: s.f.reading}
	}
	return body, err
}

// noticed is a content whose first reading is noticed.
type noticed struct {
	io.ReadSeekCloser
	first func()
	once  sync.Once
}

func (n *noticed) Read(p []byte) (int, error) {
	n.once.Do(n.first)
	return n.ReadSeekCloser.Read(p)
}

// short is a content of which the end is missing.
type short struct{ *strings.Reader }

func (short) Close() error { return nil }

// lost is a content whose store went away when it was open.
type lost struct{ io.ReadSeekCloser }

func (lost) Read([]byte) (int, error) { return 0, fmt.Errorf("%w: connection reset", queue.ErrAway) }

func (w *world) Emit(e event.Event) {
	w.broken.change(func() {
		if w.heard != nil {
			w.heard(e)
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func newWorld(t *testing.T, change ...func(*dispatch.Config)) *world {
	w := &world{t: t, net: memnet.New(), ca: pki.New(time.Now(), "Test CA"), store: memstore.New(), done: make(chan struct{})}
	w.clinic = w.partner("mx.clinic.test", "192.0.2.10:25")
	w.shop = w.partner("mx.shop.test", "192.0.2.20:25")
	w.own = w.partner("mail.example.test", "192.0.2.99:25")
	w.dns = &dnsNow{}
	w.zone(zoneText)
	w.files.Store("")
	w.keeper = inforce.NewKeeper(context.Background(), inforce.Config{Ledger: w.store, Table: w.newTable(w.owns), Files: w.digest})
	w.other = pki.New(time.Now(), "Other CA")
	w.trust(nil)
	pins := book{mxpins.NewBook(w.store), w}
	cfg := dispatch.Config{
		Store: faulty{w.store, &w.broken}, Book: mxpins.NewBook(w.store), Sink: w, InForce: w.inForce,
		Opener: deliver.New(deliver.Config{Dialer: w.net.Dialer("192.0.2.1"), Legacy: true, Memory: remembers{w}, Book: pins, Remember: pins.Remember,
			Roots: func(...string) (map[string]*x509.CertPool, error) { return *w.pools.Load(), nil },
			SMTP:  smtpclient.Config{Hello: "gw.example.test"}}),
		Hostname: mail.MustDomain("gw.example.test"), Postmaster: mail.MustAddress("postmaster@gw.example.test"),
		Random: func() uint32 { return atomic.AddUint32(&w.serial, 1) }, Worker: "test",
		Schedule: schedule.Config{Retry: []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}},
	}
	for _, f := range change {
		f(&cfg)
	}
	w.cfg = cfg
	w.d = w.renewed()
	return w
}

// renewed is another dispatcher of the same world.
func (w *world) renewed() *dispatch.Dispatcher { return dispatch.New(w.cfg) }

// trust puts files of trust in place besides the public roots, right.pem and wrong.pem.
func (w *world) trust(more map[string]*x509.CertPool) {
	pools := map[string]*x509.CertPool{policy.PublicTrust: w.ca.Pool(), "right.pem": w.ca.Pool(), "wrong.pem": w.other.Pool()}
	maps.Copy(pools, more)
	w.pools.Store(&pools)
}

// digest stands for the content of the trust files.
func (w *world) digest(...string) string { return w.files.Load().(string) }

func (w *world) partner(name, address string) *partner.Partner {
	l, err := w.net.Listen(address)
	if err != nil {
		w.t.Fatal(err)
	}
	return partner.Serve(name, l, partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{name}})})
}

func (w *world) cert(o pki.Options) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{w.ca.Issue(o).TLS}}
}

func (w *world) expired(name string) partner.Behaviour {
	return partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{name}, NotAfter: time.Now().Add(-time.Hour)})}
}

// owns serves example.test.
func (w *world) owns(c *route.Config) {
	c.Own = []route.Own{{Domain: mail.MustDomain("example.test"), To: []route.HostPort{{IP: netip.MustParseAddr("192.0.2.99"), Port: 25}}}}
}

func (w *world) newTable(change func(*route.Config)) *route.Table {
	c := route.Config{Hostname: mail.MustDomain("gw.example.test"), Resolver: w.dns, HostsFile: "none"}
	change(&c)
	table, err := route.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return table
}

// reload puts other tables in force.
func (w *world) reload(change func(*route.Config)) {
	if _, err := w.keeper.SetTable(context.Background(), w.newTable(change), w.clients); err != nil {
		w.t.Fatal(err)
	}
	w.d.Changed()
}

func (w *world) apply(text string) {
	w.t.Helper()
	set, err := rules.Parse("test", []byte(text))
	if err == nil {
		_, err = w.keeper.Apply(context.Background(), set, text, func(audit.Revision, *rules.Set) (audit.Entry, error) {
			return audit.Entry{At: time.Now(), By: "test", Action: "rules apply"}, nil
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if w.d != nil {
		w.d.Changed()
	}
}

// inForce is what the dispatcher takes for what is in force.
func (w *world) inForce() *inforce.View {
	if err := w.broken.ask(func() error { return w.broken.rules() }, w.broken.rules != nil); err != nil {
		return &inforce.View{Table: w.keeper.Now().Table, Err: err}
	}
	return w.keeper.Now()
}

// start runs the dispatcher, and returns when it has taken up what was applied before: sites that fail are tried at once
// for a change, which is not to meet what the test does next.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	go func() {
		defer close(w.done)
		if err := w.d.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	synctest.Wait()
}

func (w *world) close() {
	if w.stop != nil {
		w.stop()
		<-w.done
	}
	w.clinic.Close()
	w.shop.Close()
	w.own.Close()
}

// accept queues a message as the receiving side would under the rules in force.
func (w *world) accept(from string, change func(*queue.Submission), to ...string) queue.ID {
	ctx, now := context.Background(), time.Now()
	draft, err := w.store.NewDraft(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	text := "Subject: results\r\nMessage-ID: <1@example.test>\r\n\r\nsecret body\r\n"
	if _, err := draft.Write([]byte(text)); err != nil {
		w.t.Fatal(err)
	}
	view := w.keeper.Now()
	m := queue.Message{ID: queue.NewID(now, atomic.AddUint32(&w.serial, 1)), AcceptedAt: now, Size: int64(len(text)),
		HeaderSize: strings.Index(text, "\r\n\r\n") + 4, MessageID: "<1@example.test>"}
	if from != "" {
		m.Envelope.From = mail.MustAddress(from)
	}
	addresses := make([]mail.Address, len(to))
	for i, a := range to {
		addresses[i] = mail.MustAddress(a)
	}
	if w.shape != nil {
		w.shape(&m)
	}
	judged, err := view.Judge(&m, mail.Header{}, addresses)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &queue.Submission{Message: m, Body: draft}
	for i := range judged {
		expires := now.Add(cmp.Or(judged[i].Window, 120*time.Hour))
		d := view.Delivery(mail.Recipient{Address: addresses[i]}, &judged[i], now, expires)
		if notice := now.Add(2 * time.Hour); notice.Before(d.Deadline) {
			d.Deadline = notice
		}
		d.Affect()
		s.Deliveries = append(s.Deliveries, d)
	}
	w.copies(view, &m, judged, s)
	if change != nil {
		change(s)
	}
	if err := w.store.Accept(ctx, s); err != nil {
		w.t.Fatal(err)
	}
	for _, n := range s.Deliveries {
		w.d.Wake(&s.Message, queue.NewSiteKey(n.NextHop, n.Requirement), n.Due)
	}
	return m.ID
}

// records returns what the store knows, ordinary mail or notices.
func (w *world) records(kind queue.Kind) (out []queue.Record) {
	synctest.Wait() // what happens at this very moment has happened
	for rec, err := range w.store.List(context.Background(), queue.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if rec.Message.Kind == kind {
			out = append(out, rec)
		}
	}
	return out
}

func (w *world) one(kind queue.Kind) queue.Record {
	w.t.Helper()
	recs := w.records(kind)
	if len(recs) != 1 {
		w.t.Fatalf("%d records, want 1", len(recs))
	}
	return recs[0]
}

func leaked(p *partner.Partner) (out []string) {
	for _, c := range p.Commands() {
		if !c.TLS && (c.Verb == "MAIL" || c.Verb == "RCPT" || c.Verb == "DATA") {
			out = append(out, c.Line)
		}
	}
	return out
}

// story runs a scenario in a bubble.
func story(t *testing.T, f func(w *world), change ...func(*dispatch.Config)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change...)
		defer w.close()
		f(w)
	})
}

// long is for stories of days, in which a deadline may be seen a minute late.
func long(c *dispatch.Config) { c.Sweep = time.Minute }

const clinicRule = `
[[rule]]
name = "clinic"
scope = "outbound"
action = "force-tls"
[rule.match]
recipient = ["clinic.test"]
`

const clinicTicked = clinicRule + `
[rule.force_tls]
unspecified_recipients = "opportunistic"
`
