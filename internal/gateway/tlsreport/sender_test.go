package tlsreport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	random "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/gateway/tlsreport"
	"postern/internal/gateway/webclient"
	"postern/internal/history/tlscounts"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy/tlsrpt"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// Bubbles begin at midnight: yesterday is this day.
const yesterday = "1999-12-31"

// world is a sender over a store in memory, with names and web servers of the test's own.
type world struct {
	t       *testing.T
	store   *memstore.Store
	counts  *tlscounts.Book
	states  *tlsreport.States
	names   *zone.Resolver
	network *memnet.Network
	ca      *pki.CA
	cfg     tlsreport.Config

	mu     sync.Mutex
	told   []event.ReportSent
	posts  []string // "host bytes status"
	status int
	hang   bool
	end    func()
	group  sync.WaitGroup
	open   []net.Listener
}

func (w *world) Emit(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if sent, ok := e.(event.ReportSent); ok {
		w.told = append(w.told, sent)
	}
}

// in runs a test in a bubble; nothing runs before w.start.
func in(t *testing.T, zoneText string, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, store: memstore.New(), names: zone.New(t, zoneText), network: memnet.New(), ca: pki.New(time.Now(), "Root"), status: 200}
		w.counts, w.states = tlscounts.NewBook(w.store), tlsreport.NewStates(w.store)
		table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.example.test"), HostsFile: "none"})
		if err != nil {
			t.Fatal(err)
		}
		view := inforce.NewKeeper(t.Context(), inforce.Config{Ledger: memstore.New(), Table: table}).Now()
		w.cfg = tlsreport.Config{Counts: w.counts, States: w.states, Names: w.names, Store: w.store, InForce: func() *inforce.View { return view },
			Author: tlsreport.Author{Organization: "Example", Contact: "tls@example.test", From: mail.MustAddress("reports@example.test"), Gateway: mail.MustDomain("gw.example.test")},
			Sign:   func(text []byte) ([]byte, error) { return append([]byte("DKIM-Signature: x\r\n"), text...), nil },
			Wake:   func(*queue.Message, queue.SiteKey, time.Time) {}, Random: random.Uint32, Sink: w,
			Web: webclient.New(webclient.Config{Resolver: w.names, Roots: w.ca.Pool, Dialer: w.network.Dialer("192.0.2.9")})}
		test(w)
		if w.end != nil {
			w.end()
		}
		for _, l := range w.open {
			_ = l.Close()
		}
		w.group.Wait()
	})
}

// count writes down that a domain had so many good and bad sessions in a day.
func (w *world) count(day, domain string, ok, failed int64) {
	w.t.Helper()
	err := w.counts.Add(w.t.Context(), []tlscounts.Counts{{Day: day, Domain: domain, Policies: []tlscounts.Policy{{Type: tlsrpt.TypeSTS, Domain: domain, Succeeded: ok, Failed: failed,
		Failures: []tlscounts.Failure{{Result: "certificate-expired", Code: "cert-expired", MXHost: "mx." + domain, Sessions: failed}}}}}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// start begins to send; again stops before and begins anew, as after a start of the process.
func (w *world) start() {
	if w.end != nil {
		w.end()
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = tlsreport.New(w.cfg).Run(ctx); close(done) }()
	w.end = func() { stop(); <-done }
}

// after lets time go by.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) state(day, domain string) tlsreport.Report {
	w.t.Helper()
	r, err := w.states.Get(w.t.Context(), day, domain)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// mails are the contents queued so far.
func (w *world) mails() (out []string) {
	w.t.Helper()
	for r, err := range w.store.List(w.t.Context(), queue.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if r.Message.Kind != queue.Report || !r.Message.Waives || !r.Message.Envelope.From.IsNull() || r.State != queue.Queued {
			w.t.Errorf("queued as %+v", r)
		}
		body, err := w.store.Open(w.t.Context(), r.Message.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		text, _ := io.ReadAll(body)
		_ = body.Close()
		out = append(out, string(text))
	}
	return out
}

// web is a web server at an address.
func (w *world) web(at, name string) {
	w.t.Helper()
	l, err := w.network.Listen(at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.open = append(w.open, l)
	cfg := &tls.Config{Certificates: []tls.Certificate{w.ca.Issue(pki.Options{Names: []string{name}}).TLS}}
	w.group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			w.group.Go(func() { w.serve(tls.Server(conn, cfg)) })
		}
	})
}

func (w *world) serve(conn net.Conn) {
	defer conn.Close()
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	status, hang := w.status, w.hang
	reading, parsed := tlsrpt.Parse(body)
	ok, failed := reading.Report.Sums()
	w.posts = append(w.posts, fmt.Sprintf("%s %s%s %s %d/%d %v", r.Method, r.Host, r.URL.Path, r.Header.Get("Content-Type"), ok, failed, parsed))
	w.mu.Unlock()
	if hang {
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	fmt.Fprintf(conn, "HTTP/1.1 %d Status\r\nLocation: https://elsewhere.test/\r\nContent-Length: 2\r\n\r\nok", status)
}

func (w *world) seen() ([]event.ReportSent, []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]event.ReportSent(nil), w.told...), append([]string(nil), w.posts...)
}

const both = `_smtp._tls.clinic.test TXT "v=TLSRPTv1; rua=mailto:tls@clinic.test,https://reports.clinic.test/v1/tls"
reports.clinic.test A 203.0.113.7`

func TestAReportGoesToAllWhoWantIt(t *testing.T) {
	in(t, both, func(w *world) {
		w.web("203.0.113.7:443", "reports.clinic.test")
		w.count(yesterday, "clinic.test", 7, 2)
		w.count("2000-01-01", "clinic.test", 1, 0) // not over
		w.count(yesterday, "quiet.test", 3, 0)
		w.start()
		w.after(29 * time.Minute)
		if told, _ := w.seen(); len(told) != 0 {
			t.Error("sent before its time")
		}
		w.after(5 * time.Hour)
		told, posts := w.seen()
		if len(posts) != 1 || posts[0] != "POST reports.clinic.test/v1/tls application/tlsrpt+gzip 7/2 <nil>" || len(told) != 2 || !told[0].OK || !told[1].OK {
			t.Errorf("posts %q, told %+v", posts, told)
		}
		mails := w.mails()
		if len(mails) != 1 {
			t.Fatalf("%d mails", len(mails))
		}
		letters, err := tlsrpt.FromMail([]byte(mails[0]))
		if err != nil || len(letters) != 1 {
			t.Fatalf("%v, %+v", err, letters)
		}
		letter := letters[0]
		if letter.Domain != "clinic.test" || len(letter.Oddities) != 0 {
			t.Fatalf("%v, %+v", err, letter)
		}
		got := letter.Report
		if ok, failed := got.Sums(); ok != 7 || failed != 2 || got.Organization != "Example" || got.ID != "19991231.clinic.test@gw.example.test" || got.Policies[0].Failures[0].Code != "cert-expired" {
			t.Errorf("%+v", got)
		}
		for _, line := range []string{"DKIM-Signature: x\r\n", "TLS-Report-Domain: clinic.test\r\n", "TLS-Report-Submitter: example.test\r\n", "To: <tls@clinic.test>\r\n"} {
			if !strings.Contains(mails[0], line) {
				t.Errorf("the mail has no %q", line)
			}
		}
		if r := w.state(yesterday, "clinic.test"); r.State != tlsreport.Sent || len(r.To) != 2 || r.To[0].Message == "" || !r.Next.IsZero() {
			t.Errorf("%+v", r)
		}
		if r := w.state(yesterday, "quiet.test"); r.State != tlsreport.NoRecord || r.Text != "" {
			t.Errorf("one that asks for nothing: %+v", r)
		}
		w.start()
		w.after(2 * time.Hour)
		if _, posts := w.seen(); len(posts) != 1 || len(w.mails()) != 1 {
			t.Error("sent again after a start")
		}
		w.after(24 * time.Hour)
		if r := w.state("2000-01-01", "clinic.test"); r.State != tlsreport.Sent {
			t.Errorf("the next day: %+v", r)
		}
	})
}

func TestRecordsThatAskForNothing(t *testing.T) {
	in(t, `_smtp._tls.two.test TXT "v=TLSRPTv1; rua=mailto:a@two.test"
_smtp._tls.two.test TXT "v=TLSRPTv1; rua=mailto:b@two.test"
_smtp._tls.ftp.test TXT "v=TLSRPTv1; rua=ftp://x.test/"
_smtp._tls.other.test TXT "v=spf1 -all"
_smtp._tls.half.test TXT "v=TLSRPTv1; rua=ftp://x.test/, mailto:tls@half.test"`, func(w *world) {
		for _, d := range []string{"two.test", "ftp.test", "other.test", "half.test"} {
			w.count(yesterday, d, 1, 0)
		}
		w.start()
		w.after(6 * time.Hour)
		for _, d := range []string{"two.test", "ftp.test", "other.test"} {
			if r := w.state(yesterday, d); r.State != tlsreport.NoRecord || (r.Text == "") != (d == "other.test") {
				t.Errorf("%s: %+v", d, r)
			}
		}
		if r := w.state(yesterday, "half.test"); r.State != tlsreport.Sent || len(w.mails()) != 1 {
			t.Errorf("one destination of two is good: %+v", r)
		}
	})
}

func TestWhatFailsIsTriedAgainForADay(t *testing.T) {
	for _, c := range []struct {
		name   string
		zone   string
		change func(w *world)
		text   string
	}{
		{"an error of the server", both, func(w *world) { w.status = 503 }, "HTTP status 503"},
		{"a redirect", both, func(w *world) { w.status = 302 }, "HTTP status 302"},
		{"silence", both, func(w *world) { w.hang = true }, "did not answer in time"},
		{"a private address", strings.Replace(both, "203.0.113.7", "10.0.0.7", 1), nil, "not public"},
		{"no address", strings.Replace(both, "reports.clinic.test A", "x.test A", 1), nil, "cannot be looked up"},
		{"another's certificate", strings.ReplaceAll(both, "reports.clinic.test", "other.clinic.test"), nil, "is for other names"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, c.zone, func(w *world) {
				w.web("203.0.113.7:443", "reports.clinic.test")
				w.count(yesterday, "clinic.test", 1, 1)
				if c.change != nil {
					c.change(w)
				}
				w.start()
				w.after(20 * time.Hour)
				r := w.state(yesterday, "clinic.test")
				if r.State != tlsreport.Waiting || r.Tried < 5 || !strings.Contains(r.Text, c.text) || r.To[0].State != tlsreport.Sent || r.To[1].State != tlsreport.Waiting {
					t.Errorf("after hours: %+v", r)
				}
				if len(w.mails()) != 1 {
					t.Errorf("%d mails: the one that was sent is sent again", len(w.mails()))
				}
				w.after(10 * time.Hour)
				told, _ := w.seen()
				if r = w.state(yesterday, "clinic.test"); r.State != tlsreport.Failed || len(told) != 2 || told[1].OK || told[1].Way != event.ReportWeb || !strings.Contains(told[1].Text, c.text) {
					t.Errorf("after a day: %+v, told %+v", r, told)
				}
			})
		})
	}
}

// full is a store on a disk that is full: it is read and not written.
type full struct{ *memstore.Store }

func (full) ChangeRecords(context.Context, func(records.Tx) error) error {
	return errors.New("no space left on device")
}

// What could not be written down would be sent again every few minutes as long as the disk is full.
func TestAFullDiskSendsNothingTwice(t *testing.T) {
	in(t, both, func(w *world) {
		w.web("203.0.113.7:443", "reports.clinic.test")
		w.count(yesterday, "clinic.test", 7, 2)
		good := w.cfg.States
		w.cfg.States = tlsreport.NewStates(full{w.store})
		w.start()
		w.after(12 * time.Hour)
		if told, posts := w.seen(); len(posts) > 1 || len(told) > 1 || len(w.mails()) > 1 {
			t.Errorf("posted %d times, told %d times, %d mails", len(posts), len(told), len(w.mails()))
		}
		w.cfg.States = good
		w.start()
		w.after(6 * time.Hour)
		if _, posts := w.seen(); len(posts) != 1 || len(w.mails()) != 1 || w.state(yesterday, "clinic.test").State != tlsreport.Sent {
			t.Errorf("when there is room again: %d posts, %d mails", len(posts), len(w.mails()))
		}
	})
}

func TestAServerThatComesBackGetsItsReport(t *testing.T) {
	in(t, both, func(w *world) {
		w.web("203.0.113.7:443", "reports.clinic.test")
		w.status = 500
		w.count(yesterday, "clinic.test", 1, 0)
		w.start()
		w.after(6 * time.Hour)
		w.start() // the process died meanwhile
		w.mu.Lock()
		w.status = 201
		w.mu.Unlock()
		w.after(3 * time.Hour)
		if r := w.state(yesterday, "clinic.test"); r.State != tlsreport.Sent || len(w.mails()) != 1 {
			t.Errorf("%+v, %d mails", r, len(w.mails()))
		}
	})
}

func TestDNSThatDoesNotAnswerIsNoNo(t *testing.T) {
	in(t, `_smtp._tls.clinic.test servfail`, func(w *world) {
		w.count(yesterday, "clinic.test", 1, 0)
		w.start()
		w.after(10 * time.Hour)
		if r := w.state(yesterday, "clinic.test"); r.State != tlsreport.Waiting || !strings.Contains(r.Text, "cannot be looked up") {
			t.Errorf("%+v", r)
		}
		w.after(20 * time.Hour)
		told, _ := w.seen()
		if r := w.state(yesterday, "clinic.test"); r.State != tlsreport.Failed || len(told) != 1 || told[0].OK || told[0].To != "" {
			t.Errorf("%+v, %+v", r, told)
		}
	})
}

func TestSlowServersHoldUpNobodyForLong(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "_smtp._tls.d%d.test TXT \"v=TLSRPTv1; rua=https://reports.d%d.test/\"\nreports.d%d.test A 203.0.113.7\n", i, i, i)
	}
	text.WriteString(`_smtp._tls.clinic.test TXT "v=TLSRPTv1; rua=mailto:tls@clinic.test"`)
	in(t, text.String(), func(w *world) {
		w.web("203.0.113.7:443", "*.d0.test")
		w.network.Blackhole("203.0.113.7")
		for i := range 40 {
			w.count(yesterday, fmt.Sprintf("d%d.test", i), 1, 0)
		}
		w.count(yesterday, "clinic.test", 1, 0)
		w.start()
		w.after(5 * time.Hour)
		if r := w.state(yesterday, "clinic.test"); r.State != tlsreport.Sent {
			t.Errorf("%+v", r)
		}
	})
}

func TestDaysThatWereMissedAreSentLater(t *testing.T) {
	in(t, `_smtp._tls.clinic.test TXT "v=TLSRPTv1; rua=mailto:tls@clinic.test"`, func(w *world) {
		for _, day := range []string{"1999-12-25", "1999-12-29", "1999-12-30", yesterday} {
			w.count(day, "clinic.test", 1, 0)
		}
		time.Sleep(time.Hour)
		w.start()
		w.after(5 * time.Hour)
		if n := len(w.mails()); n != 3 {
			t.Errorf("%d mails for the last %d days", n, tlsreport.Days)
		}
	})
}

// Of several gateways one sends at a time, and each report goes once.
func TestOneOfSeveralGatewaysSends(t *testing.T) {
	in(t, `_smtp._tls.clinic.test TXT "v=TLSRPTv1; rua=mailto:tls@clinic.test"
_smtp._tls.bank.test TXT "v=TLSRPTv1; rua=mailto:tls@bank.test"`, func(w *world) {
		w.count(yesterday, "clinic.test", 1, 0)
		w.count(yesterday, "bank.test", 1, 0)
		var other atomic.Bool
		other.Store(true)
		w.cfg.Duty = func(context.Context) bool { return !other.Load() }
		w.start()
		w.after(6 * time.Hour)
		if n := len(w.mails()); n != 0 {
			t.Errorf("%d mails while another sends", n)
		}
		other.Store(false) // that one is gone, and had sent nothing
		w.after(2 * time.Minute)
		if n := len(w.mails()); n != 2 {
			t.Errorf("%d mails, want 2", n)
		}
		other.Store(true)
		w.after(2 * time.Minute)
		other.Store(false)
		w.after(time.Hour)
		if n := len(w.mails()); n != 2 {
			t.Errorf("%d mails after it was taken up again, want 2", n)
		}
	})
}

func TestAWholeMailIsSigned(t *testing.T) {
	message := tlsrpt.Message{From: mail.MustAddress("reports@example.test"), To: mail.MustAddress("tls@clinic.test"), Submitter: mail.MustDomain("example.test"),
		Domain: mail.MustDomain("clinic.test"), ID: "1", Now: time.Now(), Report: tlsrpt.Report{Organization: "Example", ID: "1@example.test"}}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaDER, _ := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	for name, c := range map[string]struct {
		key    any
		record string
	}{
		"RSA":     {rsaKey, "v=DKIM1; k=rsa; s=email:tlsrpt; p=" + base64.StdEncoding.EncodeToString(rsaDER)},
		"Ed25519": {edKey, "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(edKey.Public().(ed25519.PublicKey))},
	} {
		der, err := x509.MarshalPKCS8PrivateKey(c.key)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := tlsreport.Key(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		if err != nil {
			t.Fatal(name, err)
		}
		text, err := tlsreport.Signing("example.test", "s1", signer)(message.Compose())
		if err != nil {
			t.Fatal(name, err)
		}
		verify := func(text []byte) error {
			list, err := dkim.VerifyWithOptions(bytes.NewReader(text), &dkim.VerifyOptions{LookupTXT: func(domain string) ([]string, error) {
				if domain != "s1._domainkey.example.test" {
					return nil, errors.New("no such name")
				}
				return []string{c.record}, nil
			}})
			if err != nil || len(list) != 1 {
				return fmt.Errorf("%v, %d signatures", err, len(list))
			}
			return list[0].Err
		}
		if err := verify(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if verify(bytes.Replace(text, []byte("TLS-Report-Domain: clinic"), []byte("TLS-Report-Domain: elsewhere"), 1)) == nil {
			t.Errorf("%s: another domain in the header does not break the signature", name)
		}
		if verify(append([]byte("From: <a@evil.test>\r\n"), text...)) == nil {
			t.Errorf("%s: a second author does not break the signature", name)
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ca := pki.New(time.Now(), "Root").Issue(pki.Options{})
	ec, _ := x509.MarshalPKCS8PrivateKey(ca.TLS.PrivateKey)
	for name, text := range map[string][]byte{
		"nothing":   nil,
		"no PEM":    []byte("k=rsa; p=MIGf"),
		"a weak":    pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(weak)}),
		"a public":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&weak.PublicKey)}),
		"of ECDSA":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: ec}),
		"cut short": []byte("-----BEGIN PRIVATE KEY-----\nMIIE\n"),
	} {
		if _, err := tlsreport.Key(text); err == nil {
			t.Errorf("%s: it is a key", name)
		}
	}
}
