package certorder

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/stores"
	"postern/internal/platform/records"
	"postern/internal/queue/memstore"
)

// fakeCA is a CA as a test wants it.
type fakeCA struct {
	mu     sync.Mutex
	ca     *pki.CA
	life   time.Duration
	fail   error
	absent []string // names that are not found
	window window
	again  time.Duration
	took   time.Duration // of an order
	orders []string      // names of each
	turns  []int
	placed []time.Time
}

func (f *fakeCA) Order(ctx context.Context, names []string, key crypto.Signer, turn int) ([][]byte, error) {
	f.mu.Lock()
	took := f.took
	f.mu.Unlock()
	time.Sleep(took)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders, f.turns, f.placed = append(f.orders, strings.Join(names, " ")), append(f.turns, turn), append(f.placed, time.Now())
	if f.fail != nil {
		return nil, f.fail
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(f.absent, n) })
	if len(missing) > 0 {
		return nil, &fault{text: "not found: " + strings.Join(missing, " "), names: missing}
	}
	now := time.Now()
	c := f.ca.Issue(pki.Options{Names: names, Public: key.Public(), NotBefore: now, NotAfter: now.Add(f.life)})
	var chain [][]byte
	for rest := c.CertPEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return chain, nil
		}
		chain = append(chain, block.Bytes)
	}
}

func (f *fakeCA) Window(context.Context, *x509.Certificate) (window, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.window.start.IsZero() {
		return window{}, day, errNoWindow
	}
	return f.window, f.again, nil
}

func (f *fakeCA) set(change func(f *fakeCA)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeCA) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.orders)
}

// heard keeps events.
type heard struct {
	mu   sync.Mutex
	list []event.Event
}

func (h *heard) Emit(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, e)
}

func (h *heard) last() event.CertificateOrdered {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.list) == 0 {
		return event.CertificateOrdered{}
	}
	e, _ := h.list[len(h.list)-1].(event.CertificateOrdered)
	return e
}

// bench is a Keeper with its world.
type bench struct {
	*Keeper
	ca    *fakeCA
	heard *heard
	store records.Store
	end   func()
}

func newCA() *fakeCA { return &fakeCA{ca: pki.New(time.Now(), "CA"), life: 90 * day} }

// start opens a Keeper and runs it. end stops it.
func start(t *testing.T, store records.Store, ca *fakeCA, change func(*Config)) *bench {
	t.Helper()
	h := &heard{}
	cfg := Config{Store: store, Directory: "https://ca.test/dir", Names: []string{"gw.home.test", "mta-sts.home.test"},
		Challenges: []string{HTTP01, TLSALPN01}, Holder: "one", Sink: h}
	if change != nil {
		change(&cfg)
	}
	k := newKeeper(cfg, newBook(store))
	k.ca = ca
	if err := k.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = k.Run(ctx) }()
	return &bench{k, ca, h, store, func() { stop(); <-done }}
}

func (b *bench) key(t *testing.T) string {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(b.Certificate().Leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(spki)
}

func TestTheKeyIsThereBeforeTheCertificateAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		ca.fail = errors.New("the CA is down")
		b := start(t, memstore.New(), ca, nil)
		key := b.key(t)
		time.Sleep(time.Hour)
		if c := b.Certificate(); c == nil || c.Leaf.Issuer.String() != c.Leaf.Subject.String() || !b.Status().Temporary || b.Status().Fault == "" {
			t.Fatalf("before the CA answers: %v, %+v", c.Leaf.Subject, b.Status())
		}
		ca.set(func(f *fakeCA) { f.fail = nil })
		time.Sleep(7 * time.Hour)
		for range 5 {
			c := b.Certificate()
			if c.Leaf.Issuer.String() == c.Leaf.Subject.String() || b.Status().Temporary || b.Status().Fault != "" || b.key(t) != key {
				t.Fatalf("afterwards: %v, %+v, the same key: %v", c.Leaf.Issuer, b.Status(), b.key(t) == key)
			}
			if e := b.heard.last(); !e.Issued || !e.SameKey || !e.End.Equal(c.Leaf.NotAfter) || len(e.Names) != 2 {
				t.Errorf("told %+v", e)
			}
			left := c.Leaf.NotAfter
			time.Sleep(62 * day)
			if after := b.Certificate().Leaf.NotAfter; !after.After(left) {
				t.Errorf("62 days later it still ends at %v", after)
			}
		}
		b.end()
		again := start(t, b.store, ca, nil)
		if again.key(t) != key || again.Status().Temporary {
			t.Error("after a restart it is another key, or no certificate")
		}
		again.end()
	})
}

// A CA is asked ever more seldom, as it says itself, another challenge each time, and what was served is served on.
func TestAFailedRenewalChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		b := start(t, memstore.New(), ca, nil)
		time.Sleep(time.Hour)
		first := b.Certificate()
		ca.set(func(f *fakeCA) { f.fail = errors.New("down") })
		time.Sleep(60 * day)
		n := ca.count()
		if n < 3 {
			t.Fatalf("%d orders in 60 days", n)
		}
		time.Sleep(20 * day)
		if got := ca.count() - n; got < 4*20-3 || got > 4*20+3 {
			t.Errorf("%d orders in 20 days, want four a day", got)
		}
		if b.Certificate() != first && !b.Certificate().Leaf.Equal(first.Leaf) {
			t.Error("another certificate is served")
		}
		if s := b.Status(); s.Fault != "down" || s.Temporary {
			t.Errorf("%+v", s)
		}
		time.Sleep(7 * day) // three days before its end
		n = ca.count()
		time.Sleep(2 * day)
		if got := ca.count() - n; got < 40 || got > 48 {
			t.Errorf("%d orders in the last days, want one an hour", got)
		}
		b.end()
		ca.mu.Lock()
		turns := ca.turns
		ca.mu.Unlock()
		if turns[1] == turns[2] {
			t.Errorf("the kinds of challenge take no turns: %v", turns[:5])
		}
		n = ca.count()
		for range 10 { // a gateway that is started again and again asks no more often
			again := start(t, b.store, ca, nil)
			time.Sleep(time.Minute)
			if !again.Certificate().Leaf.Equal(first.Leaf) {
				t.Error("after a restart another certificate is served")
			}
			again.end()
		}
		if got := ca.count() - n; got > 1 {
			t.Errorf("%d orders in ten starts within ten minutes", got)
		}
	})
}

func TestWhatTheCAAsksForIsKeptTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		ca.fail = &fault{text: "too many certificates", wait: 30 * time.Hour}
		b := start(t, memstore.New(), ca, nil)
		time.Sleep(29 * time.Hour)
		if ca.count() != 1 {
			t.Errorf("%d orders within the time", ca.count())
		}
		time.Sleep(2 * time.Hour)
		if ca.count() != 2 {
			t.Errorf("%d orders after it", ca.count())
		}
		b.end()
	})
}

// What was written down while the clock was a year ahead holds up nothing when it is right again.
func TestAClockThatWasAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, store := newCA(), memstore.New()
		b := start(t, store, ca, nil)
		time.Sleep(time.Hour)
		b.end()
		s, err := b.book.state(t.Context(), "gw.home.test")
		if err != nil {
			t.Fatal(err)
		}
		then := time.Now().AddDate(1, 0, 0)
		s.Failures, s.Fault, s.NotBefore = 1, "the certificate of the CA has expired", then.Add(firstRetry)
		if err := b.book.putState(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if _, err := b.book.take(t.Context(), lease{Name: "gw.home.test", Holder: "killed", Ends: then.Add(time.Minute)}, then); err != nil {
			t.Fatal(err)
		}
		b = start(t, store, ca, nil)
		time.Sleep(70 * day)
		if ca.count() != 2 || b.Status().Fault != "" {
			t.Errorf("%d orders, %+v", ca.count(), b.Status())
		}
		b.end()
	})
}

func TestSomebodyWhoAsksIsHeardButNotAgainstTheCA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		ca.fail = errors.New("port 80 is closed")
		b := start(t, memstore.New(), ca, nil)
		time.Sleep(12 * time.Hour)
		n := ca.count()
		ca.set(func(f *fakeCA) { f.fail = &fault{text: "too many", wait: 3 * time.Hour} })
		b.Again()
		time.Sleep(time.Second)
		if ca.count() != n+1 {
			t.Errorf("%d orders when somebody asks", ca.count()-n)
		}
		b.Again()
		time.Sleep(time.Minute)
		if ca.count() != n+1 {
			t.Errorf("%d orders against the CA's word", ca.count()-n-1)
		}
		ca.set(func(f *fakeCA) { f.fail = nil })
		time.Sleep(8 * time.Hour)
		n = ca.count()
		b.Again()
		time.Sleep(time.Minute)
		if ca.count() != n || b.Status().Temporary {
			t.Errorf("%d orders where nothing is due, temporary %v", ca.count()-n, b.Status().Temporary)
		}
		b.end()
	})
}

func TestANameThatIsNotFoundCostsNotTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		ca.absent = []string{"mta-sts.home.test"}
		b := start(t, memstore.New(), ca, nil)
		time.Sleep(time.Hour)
		if s := b.Status(); s.Temporary || !slices.Equal(s.Missing, ca.absent) || !slices.Equal(b.Certificate().Leaf.DNSNames, []string{"gw.home.test"}) {
			t.Fatalf("%+v, %v", s, b.Certificate().Leaf.DNSNames)
		}
		first, n := b.Certificate(), ca.count()
		time.Sleep(3 * day)
		if got := ca.count() - n; got != 3 || !b.Certificate().Leaf.Equal(first.Leaf) {
			t.Errorf("%d orders in three days, and another certificate: %v", got, !b.Certificate().Leaf.Equal(first.Leaf))
		}
		ca.set(func(f *fakeCA) { f.absent = nil })
		time.Sleep(day + time.Hour)
		if s := b.Status(); len(s.Missing) > 0 || s.Fault != "" || len(b.Certificate().Leaf.DNSNames) != 2 {
			t.Errorf("when it was mended: %+v", s)
		}
		// A name that the certificate has is not given up as long as there is time.
		ca.set(func(f *fakeCA) { f.absent = []string{"mta-sts.home.test"} })
		time.Sleep(65 * day)
		if len(b.Certificate().Leaf.DNSNames) != 2 {
			t.Error("a name was given up with 25 days left")
		}
		time.Sleep(12 * day)
		if len(b.Certificate().Leaf.DNSNames) != 1 || b.Status().Fault == "" {
			t.Errorf("13 days before the end: %v, %+v", b.Certificate().Leaf.DNSNames, b.Status())
		}
		ca.set(func(f *fakeCA) { f.absent = []string{"gw.home.test"} })
		last := b.Certificate()
		time.Sleep(80 * day)
		if !b.Certificate().Leaf.Equal(last.Leaf) {
			t.Error("the gateway's own name was given up")
		}
		b.end()
	})
}

func TestOfSeveralGatewaysOneOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, store := newCA(), memstore.New()
		ca.took = 20 * time.Second
		var all []*bench
		for _, holder := range []string{"one", "two", "three"} {
			all = append(all, start(t, store, ca, func(c *Config) { c.Holder = holder }))
		}
		time.Sleep(time.Hour)
		if ca.count() != 1 {
			t.Errorf("%d orders", ca.count())
		}
		time.Sleep(70 * day)
		if ca.count() != 2 {
			t.Errorf("%d orders after one renewal", ca.count())
		}
		for _, b := range all {
			if !b.Certificate().Leaf.Equal(all[0].Certificate().Leaf) {
				t.Error("they serve different certificates")
			}
		}
		all[0].end() // whoever ends in an order is waited for no longer than his lease
		if _, err := all[0].book.take(t.Context(), lease{Name: "gw.home.test", Holder: "dead", Ends: time.Now().Add(10 * time.Minute)}, time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(70 * day)
		if ca.count() != 3 {
			t.Errorf("%d orders after another renewal", ca.count())
		}
		all[1].end()
		all[2].end()
	})
}

func TestAKeyThatIsNamedTakesThePlaceWhenItIsCertified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		b := start(t, memstore.New(), ca, nil)
		time.Sleep(time.Hour)
		old := b.key(t)
		b.end()
		der, err := newKey()
		if err != nil {
			t.Fatal(err)
		}
		key, err := readKey(der)
		if err != nil {
			t.Fatal(err)
		}
		ca.fail = errors.New("down")
		b = start(t, b.store, ca, func(c *Config) { c.Key = key })
		time.Sleep(time.Hour)
		if b.key(t) != old || b.Status().Temporary {
			t.Error("the key is served before it is certified")
		}
		ca.set(func(f *fakeCA) { f.fail = nil })
		time.Sleep(7 * time.Hour)
		changed := b.key(t)
		if changed == old || b.heard.last().SameKey {
			t.Errorf("the key did not change: %+v", b.heard.last())
		}
		b.end()
		b = start(t, b.store, ca, nil) // the key is taken out of the configuration: it stays
		time.Sleep(70 * day)
		if b.key(t) != changed {
			t.Error("the key changed back")
		}
		b.end()
	})
}

func TestAnotherCAIsAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		b := start(t, memstore.New(), ca, nil)
		time.Sleep(time.Hour)
		key := b.key(t)
		b.end()
		b = start(t, b.store, ca, func(c *Config) { c.Directory = "https://other.test/dir" })
		time.Sleep(time.Hour)
		if ca.count() != 2 || b.key(t) != key {
			t.Errorf("%d orders, the same key: %v", ca.count(), b.key(t) == key)
		}
		b.end()
		b = start(t, b.store, ca, func(c *Config) {
			c.Directory = "https://other.test/dir"
			c.Names = append(c.Names, "mta-sts.other.test")
		})
		time.Sleep(time.Hour)
		if ca.count() != 3 || len(b.Certificate().Leaf.DNSNames) != 3 {
			t.Errorf("a further name: %d orders, %v", ca.count(), b.Certificate().Leaf.DNSNames)
		}
		b.end()
	})
}

// RFC 9773: a CA that must take certificates back says so by a window that has begun.
func TestTheCAsWindowCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		b := start(t, memstore.New(), ca, nil)
		time.Sleep(2 * day)
		if ca.count() != 1 {
			t.Fatalf("%d orders", ca.count())
		}
		ca.set(func(f *fakeCA) {
			f.window = window{time.Now().Add(-2 * time.Hour), time.Now().Add(-time.Hour)}
			f.again = 6 * time.Hour
		})
		time.Sleep(25 * time.Hour)
		ca.set(func(f *fakeCA) { f.window = window{time.Now().Add(75 * day), time.Now().Add(76 * day)} })
		if n := ca.count(); n < 2 || n > 5 {
			t.Errorf("%d orders when the window has begun", n)
		}
		n := ca.count()
		time.Sleep(70 * day)
		if ca.count() != n {
			t.Errorf("%d orders before the window", ca.count()-n)
		}
		b.end()
	})
}

func TestWhenACertificateIsRenewed(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	ca := pki.New(now, "CA")
	for _, life := range []time.Duration{6 * day, 45 * day, 90 * day, 398 * day} {
		var before time.Time
		for range 5 {
			leaf := ca.Issue(pki.Options{Names: []string{"a.test"}, NotBefore: now, NotAfter: now.Add(life)}).TLS.Leaf
			at := renewal(leaf, window{})
			if part := float64(at.Sub(now)) / float64(life); part < 0.62 || part > 0.667 {
				t.Errorf("of %v after %.3f", life, part)
			}
			if at.Equal(before) {
				t.Error("two certificates are renewed at the same moment")
			}
			before = at
			if at := renewal(leaf, window{now.Add(-time.Hour), now.Add(-1)}); at.Before(now.Add(min(day, life/6))) {
				t.Error("it is renewed on its first day")
			}
			w := window{now.Add(life / 2), now.Add(life/2 + time.Hour)}
			if at := renewal(leaf, w); at.Before(w.start) || at.After(w.end) {
				t.Errorf("%v is not in the window", at)
			}
			if at := renewal(leaf, window{now.Add(life), now.Add(life + time.Hour)}); at.After(now.Add(life)) {
				t.Error("a window after its end counts")
			}
		}
	}
}

func TestAnswersAreFoundByEveryGatewayAndBySomebodyElseNot(t *testing.T) {
	stores.Each(t, func(t *testing.T, s records.Store, again func() records.Store) {
		b, ctx, now := newBook(s), t.Context(), time.Now()
		key, err := newKey()
		if err != nil {
			t.Fatal(err)
		}
		signer, err := readKey(key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := temporary([]string{"gw.home.test"}, signer, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []answer{{ID: "tok-EN_1", Text: "tok-EN_1.print", Ends: now.Add(time.Hour)}, {ID: "old", Text: "old.print", Ends: now.Add(-time.Second)},
			{ID: tlsPrefix + "gw.home.test", Chain: cert.Certificate, Key: key, Ends: now.Add(time.Hour)}} {
			if err := b.putAnswer(ctx, &a, now.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		there := again()
		k := &Keeper{book: newBook(there)}
		for token, want := range map[string]string{"tok-EN_1": "tok-EN_1.print", "old": "", "": "", "tok-EN_2": "", "tls gw.home.test": "", "tok-EN_1\x00": "",
			"../tok-EN_1": "", strings.Repeat("a", 5000): ""} {
			if got := k.HTTPAnswer(ctx, token); got != want {
				t.Errorf("%.20q: %q", token, got)
			}
		}
		for name, want := range map[string]bool{"gw.home.test": true, "GW.home.test": true, "": false, "other.test": false, strings.Repeat("a", 5000): false} {
			if got := k.TLSAnswer(ctx, name); (got != nil) != want {
				t.Errorf("%.20q: %v", name, got)
			}
		}
		// A crowd costs the store little, and whoever ordered is found all the same.
		if err := k.book.putAnswer(ctx, &answer{ID: "mine", Text: "mine.print", Ends: now.Add(time.Hour)}, now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		looked := 0
		for range 100 * mostLooks {
			if _, _, look := k.book.own.find("other", now); look {
				looked++
			}
		}
		if looked > mostLooks || k.HTTPAnswer(ctx, "mine") != "mine.print" {
			t.Errorf("%d looks, own answer %q", looked, k.HTTPAnswer(ctx, "mine"))
		}
		if err := k.book.dropAnswer(ctx, "mine"); err != nil || k.HTTPAnswer(ctx, "mine") != "" {
			t.Errorf("after it was dropped: %v %q", err, k.HTTPAnswer(ctx, "mine"))
		}
	})
}

func TestTheCopyHasNoKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "acme.pem")
	store := memstore.New()
	h := &heard{}
	k := &Keeper{cfg: Config{Names: []string{"gw.home.test"}, Challenges: []string{HTTP01}, File: file, Sink: h}, book: newBook(store), ca: newCA()}
	if err := k.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "PRIVATE") || strings.Count(string(text), "BEGIN CERTIFICATE") != 1 {
		t.Errorf("%v: %s", err, text)
	}
}

// A copy that cannot be written is no reason not to serve or not to renew.
func TestACopyThatCannotBeWritten(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "gone")
	synctest.Test(t, func(t *testing.T) {
		ca := newCA()
		b := start(t, memstore.New(), ca, func(c *Config) { c.File = filepath.Join(folder, "acme.pem") })
		time.Sleep(time.Hour)
		if b.Status().Temporary || b.Status().Fault != "" {
			t.Errorf("%+v", b.Status())
		}
		b.heard.mu.Lock()
		if w, ok := b.heard.list[0].(event.Warned); !ok || !strings.Contains(w.Text, "copy") || len(b.heard.list) != 2 {
			t.Errorf("told %+v", b.heard.list)
		}
		b.heard.mu.Unlock()
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := os.Stat(filepath.Join(folder, "acme.pem")); err != nil {
			t.Error("not written when it can be: ", err)
		}
		b.end()
	})
}

// Another order of the names makes no other key, which TLSA records would not know, and takes no certificate away.
func TestAnotherNameFirstKeepsTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, store := newCA(), memstore.New()
		b := start(t, store, ca, nil)
		time.Sleep(time.Hour)
		key, leaf := b.key(t), b.Certificate().Leaf
		b.end()
		for _, names := range [][]string{{"mta-sts.home.test", "gw.home.test"}, {"www.home.test", "gw.home.test"}, {"gw.home.test"}} {
			ca.set(func(f *fakeCA) { f.fail = errors.New("down") })
			b = start(t, store, ca, func(c *Config) { c.Names = names })
			if b.key(t) != key || !b.Certificate().Leaf.Equal(leaf) || b.Status().Temporary {
				t.Errorf("%v: the same key: %v, %+v", names, b.key(t) == key, b.Status())
			}
			b.end()
		}
		other := start(t, store, ca, func(c *Config) { c.Names = []string{"gw2.home.test"} }) // that shares the store
		if other.key(t) == key {
			t.Error("another gateway has the same key")
		}
		other.end()
	})
}

func TestPauses(t *testing.T) {
	for _, c := range []struct {
		failures          int
		left, asked, want time.Duration
	}{
		{1, 0, 0, 5 * time.Minute}, {2, 0, 0, 10 * time.Minute}, {4, 90 * day, 0, 40 * time.Minute}, {100, 90 * day, 0, 6 * time.Hour},
		{100, 2 * day, 0, time.Hour}, {1, 2 * day, 0, 5 * time.Minute}, {1, 0, time.Hour, time.Hour}, {1, 0, 365 * day, 7 * day}, {100, 1, time.Minute, time.Hour},
	} {
		if got := pauseAfter(c.failures, c.left, c.asked); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
