package zonewatch

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/dns"
	"postern/internal/event"
	"postern/internal/gateway/stscache"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy/ownzone"
	"postern/internal/policy/sts"
	"postern/internal/policy/tlsrpt"
)

var home = mail.MustDomain("home.test")

// host is a policy host that gives what it is told to.
type host struct {
	policy sts.Policy
	err    error
	asked  int
}

func (h *host) Fetch(context.Context, mail.Domain) (sts.Policy, error) {
	h.asked++
	return h.policy, h.err
}

// heard keeps events.
type heard struct {
	mu     sync.Mutex
	warned []event.Warned
	looks  []event.RecordsChecked
}

func (h *heard) Emit(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e := e.(type) {
	case event.Warned:
		h.warned = append(h.warned, e)
	case event.RecordsChecked:
		h.looks = append(h.looks, e)
	}
}

func (h *heard) take() (warned []event.Warned, looks []event.RecordsChecked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	warned, looks = h.warned, h.looks
	h.warned, h.looks = nil, nil
	return warned, looks
}

// gateway is one with a policy, and the zone in which all is well.
func gateway(ca *pki.CA) (*ownzone.Own, string) {
	p, err := sts.New(sts.Enforce, []string{"gw.home.test"}, 168*time.Hour)
	if err != nil {
		panic(err)
	}
	own := &ownzone.Own{Hostname: mail.MustDomain("gw.home.test"), Web: true, Domains: []ownzone.Domain{{Name: home, Policy: p}, {Name: mail.MustDomain("plain.test")}},
		Certificates: []ownzone.Certificate{{File: "gw.pem", Chain: ca.Issue(pki.Options{Names: []string{"gw.home.test"}}).Chain}}}
	lines := []string{"gw.home.test A 192.0.2.1", "plain.test MX 10 elsewhere.test"}
	for _, r := range own.Records(home) {
		if !r.Hint {
			lines = append(lines, r.Name+" "+r.Type+" "+r.Value)
		}
	}
	return own, strings.Join(lines, "\n")
}

func codes(found []ownzone.Finding) (out []string) {
	for _, f := range found {
		out = append(out, string(f.Code))
	}
	return out
}

func TestWhatDNSAndThePolicyHostSayIsFound(t *testing.T) {
	failure := func(kind stscache.Kind, err error) error {
		return &stscache.Failure{Note: stscache.Note{Kind: kind, Text: "so it is"}, Err: err}
	}
	for _, c := range []struct {
		name, zone string // the lines in place of those of a name that they begin with
		err        error  // of the policy host
		want       string
	}{
		{name: "all is well"},
		{name: "no record", zone: "_mta-sts.home.test A 192.0.2.9", want: "sts-record-missing"},
		{name: "silence", zone: "_mta-sts.home.test TXT timeout", want: "dns-unknown"},
		{name: "a failure", zone: "home.test MX servfail", want: "dns-unknown"},
		{name: "bogus", zone: "_25._tcp.gw.home.test TLSA bogus", want: "dnssec-bogus"},
		{name: "a host by the way", zone: "home.test MX 10 gw.home.test\nhome.test MX 20 lost.home.test", want: "mx-not-ours mx-no-address mx-not-in-policy"},
		{name: "an unsigned answer", zone: "!home.test MX 10 gw.home.test", want: "mx-unsigned"},
		{name: "no policy host", err: failure(stscache.HostUnknown, nil), want: "sts-host-unreachable"},
		{name: "no such policy host", err: failure(stscache.HostUnknown, &dns.Error{Kind: dns.NXDomain}), want: "sts-host-unreachable"},
		{name: "nobody knows the policy host", err: failure(stscache.HostUnknown, &dns.Error{Kind: dns.Timeout}), want: "sts-host-unknown"},
		{name: "refused", err: failure(stscache.HostRefused, nil), want: "sts-host-unreachable"},
		{name: "silent", err: failure(stscache.HostSilent, nil), want: "sts-host-unreachable"},
		{name: "private", err: failure(stscache.HostPrivate, nil), want: "sts-host-unreachable"},
		{name: "no TLS", err: failure(stscache.TLSFailed, nil), want: "sts-host-unreachable"},
		{name: "a wrong certificate", err: failure(stscache.Certificate, nil), want: "sts-host-certificate"},
		{name: "a redirect", err: failure(stscache.BadStatus, nil), want: "sts-host-answer"},
		{name: "nonsense", err: failure(stscache.BadAnswer, nil), want: "sts-host-answer"},
		{name: "no policy", err: failure(stscache.PolicyInvalid, nil), want: "sts-policy-malformed"},
		{name: "busy", err: failure(stscache.Busy, nil), want: "sts-host-unknown"},
		{name: "an error of another kind", err: errors.New("x"), want: "sts-host-unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := pki.New(time.Now(), "CA")
				own, text := gateway(ca)
				if c.zone != "" {
					name, _, _ := strings.Cut(strings.TrimPrefix(c.zone, "!"), " ")
					lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.HasPrefix(l, name+" ") })
					text = strings.Join(append(lines, c.zone), "\n")
				}
				a := &Asker{Resolver: zone.New(t, text), Validates: true, Fetcher: &host{policy: own.Domains[0].Policy, err: c.err}}
				found := ownzone.Judge(own, a.Look(t.Context(), own, own.Domains[:1], ca.Pool()))
				if got := codes(found); !slices.Equal(got, strings.Fields(c.want)) {
					t.Errorf("%v, want %s: %+v", got, c.want, found)
				}
			})
		})
	}
}

// Where reports are taken the record is asked for of every domain, and nothing else of those that publish no policy.
func TestTheRecordAboutReportsIsLookedAt(t *testing.T) {
	for _, c := range []struct{ zone, want string }{
		{"_smtp._tls.home.test TXT \"v=TLSRPTv1; rua=mailto:tls@home.test\"\n_smtp._tls.plain.test TXT \"v=TLSRPTv1; rua=mailto:tls@home.test\"", ""},
		{"_smtp._tls.home.test TXT \"v=TLSRPTv1; rua=mailto:tls@home.test\"", "tlsrpt-missing"},
		{"_smtp._tls.plain.test TXT timeout\n_smtp._tls.home.test TXT \"v=TLSRPTv1; rua=mailto:x@y.test\"", "tlsrpt-differs dns-unknown"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ca, h := pki.New(time.Now(), "CA"), &heard{}
			own, text := gateway(ca)
			own.Reports = tlsrpt.Record{Destinations: []tlsrpt.Destination{{Mail: mail.MustAddress("tls@home.test")}}}
			w := NewWatcher(WatcherConfig{Sink: h, Own: func() (*ownzone.Own, *x509.CertPool, error) { return own, ca.Pool(), nil },
				Asker: &Asker{Resolver: zone.New(t, text+"\n"+c.zone), Validates: true, Fetcher: &host{policy: own.Domains[0].Policy}}})
			w.look(t.Context())
			if got := codes(w.Last().Findings); !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("%v, want %s: %+v", got, c.want, w.Last().Findings)
			}
		})
	}
}

// The policy host of a domain without a policy is asked only where somebody announces one.
func TestNobodyIsAskedWithoutNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := pki.New(time.Now(), "CA")
		own, text := gateway(ca)
		h := &host{policy: own.Domains[0].Policy}
		z := zone.New(t, text)
		a := &Asker{Resolver: z, Validates: true, Fetcher: h}
		a.Look(t.Context(), own, own.Domains[1:], ca.Pool())
		if h.asked != 0 {
			t.Error("the policy host of a domain without a policy was asked")
		}
		z.Set(text + "\n_mta-sts.plain.test TXT \"v=STSv1; id=1\"")
		a.Look(t.Context(), own, own.Domains[1:], ca.Pool())
		if h.asked != 1 {
			t.Errorf("asked %d times though a policy is announced", h.asked)
		}
	})
}

func TestAFindingIsWarnedOfOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := pki.New(time.Now(), "CA")
		own, text := gateway(ca)
		z, h := zone.New(t, text), &heard{}
		w := NewWatcher(WatcherConfig{Asker: &Asker{Resolver: z, Validates: true, Fetcher: &host{policy: own.Domains[0].Policy}}, Sink: h,
			Own: func() (*ownzone.Own, *x509.CertPool, error) { return own, ca.Pool(), nil }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(time.Minute)
		if _, looks := h.take(); len(looks) > 0 || w.Last() != nil {
			t.Error("it looks at once")
		}
		time.Sleep(2 * time.Minute)
		if warned, looks := h.take(); len(looks) != 1 || len(warned) > 0 || len(looks[0].Findings) != len(ownzone.Codes()) {
			t.Errorf("after the start: %v %v", warned, looks)
		}
		z.Set(strings.ReplaceAll(text, "_mta-sts", "x"))
		w.Changed()
		time.Sleep(3 * time.Minute)
		warned, looks := h.take()
		if len(looks) != 1 || looks[0].Findings["sts-record-missing"] != 1 || len(warned) != 1 || warned[0].What != "records _mta-sts.home.test" ||
			!strings.HasPrefix(warned[0].Text, "sts-record-missing: ") || warned[0].Hint == "" {
			t.Errorf("after a change: %+v %v", warned, looks)
		}
		if last := w.Last(); len(last.Findings) != 1 || last.Findings[0].Code != ownzone.STSRecordMissing || time.Since(last.At) > 3*time.Minute {
			t.Errorf("kept: %+v", last)
		}
		time.Sleep(20 * time.Hour)
		if warned, looks := h.take(); len(warned) > 0 || len(looks) < 4 || len(looks) > 5 {
			t.Errorf("within the day: %+v, %d looks", warned, len(looks))
		}
		time.Sleep(10 * time.Hour)
		if warned, _ := h.take(); len(warned) != 1 {
			t.Errorf("the day after: %+v", warned)
		}
		z.Set(text)
		time.Sleep(5 * time.Hour)
		if warned, looks := h.take(); len(warned) > 0 || looks[len(looks)-1].Findings["sts-record-missing"] != 0 {
			t.Errorf("when it is mended: %+v %v", warned, looks)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Who publishes nothing hears nothing, whatever DNS does; and that the files cannot be read is told.
func TestWhoPublishesNothingHearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := pki.New(time.Now(), "CA")
		own, _ := gateway(ca)
		own.Domains = own.Domains[1:]
		var broken error
		h := &heard{}
		w := NewWatcher(WatcherConfig{Asker: &Asker{Resolver: zone.New(t, "home.test A servfail\ngw.home.test servfail\n_25._tcp.gw.home.test servfail"), Validates: true, Fetcher: &host{}}, Sink: h,
			Own: func() (*ownzone.Own, *x509.CertPool, error) { return own, ca.Pool(), broken }})
		w.look(t.Context())
		if warned, looks := h.take(); len(warned) > 0 || len(looks) != 1 {
			t.Errorf("%+v %v", warned, looks)
		}
		broken = errors.New("next.pem cannot be read")
		w.look(t.Context())
		if warned, looks := h.take(); len(warned) != 1 || len(looks) != 0 {
			t.Errorf("%+v %v", warned, looks)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		broken = nil
		w.look(ended)
		if warned, looks := h.take(); len(warned)+len(looks) > 0 {
			t.Errorf("while stopping: %+v %v", warned, looks)
		}
	})
}
