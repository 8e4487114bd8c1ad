package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/notify"
	"postern/internal/gateway/route"
	"postern/internal/history/told"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

// world is a notifier over a store in memory; nothing delivers.
type world struct {
	*notify.Notifier
	store  *memstore.Store
	mu     sync.Mutex
	broken error // of the rules
	warned int
	woken  []queue.SiteKey
	end    func()
}

func (w *world) emitted(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := e.(event.Warned); ok {
		w.warned++
	}
}

// sink is a world's Sink.
type sink struct{ w *world }

func (s sink) Emit(e event.Event) { s.w.emitted(e) }

// seen are the warnings counted and the sites woken so far.
func (w *world) seen() (warned int, woken []queue.SiteKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.warned, slices.Clone(w.woken)
}

func (w *world) set(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

func newWorld(t *testing.T, to, ruleText string) *world { return beside(t, to, ruleText, nil, "") }

// beside is a world on the store of another, of a gateway with a name; nil has a store and a memory of its own.
func beside(t *testing.T, to, ruleText string, other *world, node string) *world {
	t.Helper()
	w := &world{store: memstore.New()}
	if other != nil {
		w.store = other.store
	}
	table, err := route.New(route.Config{Hostname: mail.MustDomain("gw.example.test"), Resolver: zone.New(t, ""), HostsFile: "none",
		Own: []route.Own{{Domain: mail.MustDomain("example.test"), To: []route.HostPort{{IP: netip.MustParseAddr("192.0.2.99"), Port: 25}},
			Require: policy.Encrypted}}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Parse("test", []byte(ruleText))
	if err != nil {
		t.Fatal(err)
	}
	serial := uint32(len(node)) << 16
	cfg := notify.Config{From: mail.MustAddress("postmaster@gw.example.test"), Hostname: mail.MustDomain("gw.example.test"), Store: w.store, Sink: sink{w},
		Random: func() uint32 { serial++; return serial },
		InForce: func() *inforce.View {
			w.mu.Lock()
			defer w.mu.Unlock()
			return &inforce.View{Number: 9, Rules: set, Revision: 7, Table: table, Err: w.broken}
		},
		Wake: func(_ *queue.Message, k queue.SiteKey, _ time.Time) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.woken = append(w.woken, k)
		}}
	if node != "" {
		cfg.Node, cfg.Told = node, told.NewBook(w.store)
	}
	if to != "" {
		cfg.To = mail.MustAddress(to)
	}
	w.Notifier = notify.New(cfg)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	w.end = func() { stop(); <-done }
	return w
}

// letters returns the records and contents queued so far, oldest first.
func (w *world) letters(t *testing.T) (records []queue.Record, texts []string) {
	t.Helper()
	for r, err := range w.store.List(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	slices.Reverse(records)
	for _, r := range records {
		body, err := w.store.Open(t.Context(), r.Message.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return records, texts
}

func matter(n int) notify.Matter {
	return notify.Matter{Key: fmt.Sprint("m", n), Subject: fmt.Sprint("matter ", n), Text: fmt.Sprint("text of ", n), Hint: "look"}
}

func TestTheSameMatterIsToldOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "admin@example.test", "")
		defer w.end()
		for range 50 { // hours
			w.Tell(matter(1))
			time.Sleep(time.Hour)
		}
		if records, _ := w.letters(t); len(records) != 3 {
			t.Errorf("%d letters in 50 hours, want 3", len(records))
		}
	})
}

func TestWhatComesFastIsGatheredAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "admin@example.test", "")
		defer w.end()
		for n := range 200 {
			w.Tell(matter(n))
			time.Sleep(10 * time.Second)
		}
		if records, _ := w.letters(t); len(records) != 10 {
			t.Errorf("%d letters in the first hour, want 10", len(records))
		}
		time.Sleep(2 * time.Hour)
		_, texts := w.letters(t)
		all := strings.Join(texts, "")
		told := strings.Count(all, "\r\n* text of ")
		if told < 50 || !strings.Contains(all, fmt.Sprintf("%d more matters", 200-told)) {
			t.Errorf("%d of 200 matters were told, and the rest is not counted:\n%s", told, texts[len(texts)-1])
		}
	})
}

func TestALetterIsAnOrdinaryMessageOfThisGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "admin@example.test", "")
		defer w.end()
		w.Tell(notify.Matter{Key: "k", Subject: "evil\r\nBcc: x@y.test \x1b[2J \u202e", Text: strings.Repeat("long\r\n.\r\n words ü ", 60) + strings.Repeat("x", 3000), Hint: "do"})
		time.Sleep(time.Minute)
		records, texts := w.letters(t)
		if len(records) != 1 {
			t.Fatalf("%d letters", len(records))
		}
		r := records[0]
		_, woken := w.seen()
		if r.Message.Kind != queue.Alert || !r.Message.Envelope.From.IsNull() || r.Requirement.Channel != policy.Encrypted || r.State != queue.Queued ||
			r.Message.RulesRevision != 7 || len(woken) != 1 || woken[0] != r.Site || r.Message.MessageID == "" {
			t.Errorf("queued as %+v, woken %v", r, woken)
		}
		head, body, ok := strings.Cut(texts[0], "\r\n\r\n")
		if !ok || len(head)+4 != r.Message.HeaderSize || strings.Contains(head, "\nBcc") {
			t.Errorf("the header section: %q", head)
		}
		for _, want := range []string{"From: Postern <postmaster@gw.example.test>", "Auto-Submitted: auto-generated", "Date: Sat, 01 Jan 2000 ", "MIME-Version: 1.0"} {
			if !strings.Contains(head, want) {
				t.Errorf("the header lacks %q:\n%s", want, head)
			}
		}
		for line := range strings.SplitSeq(head+"\r\n"+body, "\r\n") {
			if len(line) > 990 || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("a line that cannot travel: %q", line)
			}
		}
	})
}

func TestALetterIsProtectedAsTheRulesSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "boss@elsewhere.test", "[[rule]]\nname = 'boss'\nscope = 'outbound'\naction = 'force-tls'\n[rule.match]\nrecipient = ['elsewhere.test']\n")
		defer w.end()
		w.set(errors.New("the rules cannot be read"))
		w.Tell(matter(1))
		time.Sleep(10 * time.Minute)
		records, _ := w.letters(t)
		if warned, _ := w.seen(); len(records) != 0 || warned != 1 {
			t.Fatalf("without rules: %d letters, %d warnings", len(records), warned)
		}
		w.set(nil)
		time.Sleep(time.Minute)
		records, _ = w.letters(t)
		if len(records) != 1 || records[0].Requirement.Channel != policy.Authenticated || !slices.Equal(records[0].Rules, []string{"boss"}) {
			t.Errorf("queued as %+v", records)
		}
	})
}

func TestOnlyWhatMattersIsWrittenAbout(t *testing.T) {
	events := []event.Event{
		event.PeerChanged{Host: "mx.a.test", Change: "tls-lost", Before: "TLSv1.3", After: "starttls-not-offered"}, // seen once: only logged
		event.PeerChanged{Host: "mx.b.test", Change: "group"},
		event.Warned{What: "alert held", Text: "x"},
		event.Warned{What: "notify", Text: "x"},
		event.PeerChanged{Host: "mx.c.test", Change: "tls-lost", UnderRule: true},
		event.PeerChanged{Host: "mx.c.test", IP: netip.MustParseAddr("192.0.2.2"), Change: "tls-lost", UnderRule: true},
		event.Warned{What: "notice held", Text: "the notice is held"},
		event.ReportReceived{Signer: "partner.test", Failed: 3, Results: []string{"certificate-expired"}, ID: "ab-12", News: true},
		event.ReportReceived{Signer: "partner.test", Failed: 4, ID: "ab-13", News: true}, // the same day
		event.ReportReceived{Signer: "quiet.test", ID: "ab-14"},
		event.ReportReceived{Signer: "known.test", Failed: 4, ID: "ab-15"}, // as last week
		event.ReportReceived{Organization: "anybody", Failed: 9000, ID: "ab-16", News: true},
	}
	synctest.Test(t, func(t *testing.T) {
		w, nobody := newWorld(t, "admin@example.test", ""), newWorld(t, "", "")
		defer w.end()
		defer nobody.end()
		for _, e := range events {
			w.Emit(e)
			nobody.Emit(e)
		}
		time.Sleep(time.Minute)
		_, texts := w.letters(t)
		if len(texts) != 1 || strings.Count(texts[0], "\r\n* ") != 3 || !strings.Contains(texts[0], "Subject: [postern] mx.c.test lost its TLS (and 2 more)") ||
			!strings.Contains(texts[0], "ab-12") {
			t.Errorf("letters: %q", texts)
		}
		if records, _ := nobody.letters(t); len(records) != 0 {
			t.Error("somebody was written to")
		}
	})
}

func TestOurOwnCertificateIsToldOfAtEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "admin@example.test", "")
		defer w.end()
		end := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
		for _, step := range []int{30, 14, 7, 1, 0} {
			w.Emit(event.CertificateEnding{Kind: "server", Name: "gw.example.test", End: end, Step: step, Fault: "port 80 is closed"})
			time.Sleep(time.Hour)
		}
		w.Emit(event.CertificateOrdered{Temporary: true, Fault: "no such name", Next: end})
		w.Emit(event.CertificateOrdered{Issued: true, Names: []string{"gw.example.test"}, End: end})
		time.Sleep(time.Hour)
		_, texts := w.letters(t)
		if len(texts) != 6 {
			t.Fatalf("%d letters", len(texts))
		}
		for i, want := range []string{"ends within 30 days", "ends within 14 days", "ends within 7 days", "ends within a day", "has ended", "has no public certificate"} {
			if !strings.Contains(texts[i], want) || !strings.Contains(texts[i], map[bool]string{true: "port 80 is closed", false: "no such name"}[i < 5]) {
				t.Errorf("letter %d without %q:\n%s", i, want, texts[i])
			}
		}
	})
}
