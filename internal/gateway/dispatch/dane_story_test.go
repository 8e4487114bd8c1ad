package dispatch_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"postern/internal/dns"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/policy/dane"
	"postern/internal/queue"
)

// tlsa is the zone of the world with records for the clinic's host.
func tlsa(records ...string) string {
	text := zoneText
	for _, r := range records {
		text += "_25._tcp.mx.clinic.test. " + r + "\n"
	}
	return text
}

// of is the record of what a behaviour presents.
func of(t *testing.T, b partner.Behaviour) string {
	t.Helper()
	var r dns.TLSA
	leaf, err := x509.ParseCertificate(b.TLS.Certificates[0].Certificate[0])
	if err == nil {
		r, err = dane.Of(leaf, 3, 1, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "TLSA " + dane.Format(r)
}

var stranger = "TLSA 3 1 1 " + strings.Repeat("ab", 32)

// mode puts tables in force that look at TLSA records in a mode.
func (w *world) mode(mode string) {
	w.reload(func(c *route.Config) { w.owns(c); c.DANE = mode })
}

// Ordinary mail that waits for what a host publishes goes at once when an administrator no longer keeps to it.
func TestWhatIsNoLongerKeptToHoldsNothingBack(t *testing.T) {
	for _, zone := range []string{tlsa(stranger), tlsa("servfail")} {
		story(t, func(w *world) {
			w.zone(zone)
			w.mode(policy.Enforced)
			w.start()
			w.accept("a@example.test", nil, "dr@clinic.test")
			time.Sleep(30 * time.Minute)
			if r := w.one(queue.Ordinary); r.State != queue.Queued || r.SiteState.Failures < 3 {
				t.Fatalf("%v after %d failures", r.State, r.SiteState.Failures)
			}
			w.mode(policy.Observed)
			time.Sleep(5 * time.Second)
			if n := len(w.clinic.Messages()); n != 1 {
				t.Errorf("%d messages arrived when the records were no longer kept to: %+v", n, w.one(queue.Ordinary).SiteState)
			}
		}, long)
	}
}

// A site that is busy for longer than a plan lives asks again and again what its host publishes, and nothing of that is
// a failure. When the answer is lost or changes, mail waits, and goes on when it is mended.
func TestABusySiteAsksAgainWhatItsHostPublishes(t *testing.T) {
	story(t, func(w *world) {
		b := partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true, Names: []string{"mx.clinic.test"}})}
		w.clinic.Set(b)
		w.zone(tlsa(of(t, b)))
		w.mode(policy.Enforced)
		w.start()
		send := func(n int) {
			for range n {
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(20 * time.Second)
			}
		}
		send(60)
		if n := len(w.clinic.Messages()); n != 60 {
			t.Fatalf("%d of 60 arrived", n)
		}
		for _, r := range w.records(queue.Ordinary) {
			if r.Attempts != 1 || r.SiteState.Failures > 0 || r.Reached != policy.Authenticated {
				t.Fatalf("%d attempts, %d failures, reached %s", r.Attempts, r.SiteState.Failures, r.Reached)
			}
		}
		for _, zone := range []string{tlsa("servfail"), tlsa(stranger)} {
			w.zone(zone)
			time.Sleep(10 * time.Minute)
			before := len(w.clinic.Messages())
			send(3)
			if n := len(w.clinic.Messages()); n != before {
				t.Errorf("%d messages arrived against %q", n-before, zone)
			}
			w.zone(tlsa(of(t, b)))
			time.Sleep(time.Hour)
			if n := len(w.clinic.Messages()); n != before+3 {
				t.Errorf("%d of 3 arrived after %q was mended", n-before, zone)
			}
		}
		if l := leaked(w.clinic); len(l) > 0 {
			t.Errorf("in the clear: %q", l)
		}
	}, long)
}

// What waited for a host's records until its time was over is returned with the reason; no notice comes at once.
func TestAMismatchIsReturnedAfterTheOrdinaryLifetime(t *testing.T) {
	story(t, func(w *world) {
		w.zone(tlsa(stranger))
		w.mode(policy.Enforced)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(119 * time.Hour)
		if r := w.one(queue.Ordinary); r.State != queue.Queued || r.Why() != policy.DANEMismatch {
			t.Fatalf("%v for %s", r.State, r.Why())
		}
		time.Sleep(2 * time.Hour)
		if r := w.one(queue.Ordinary); r.State != queue.Failed {
			t.Fatal(r.State)
		}
		var notices []string
		for _, m := range w.own.Messages() {
			notices = append(notices, m.Data)
		}
		if len(notices) != 2 || !strings.Contains(notices[0], "TLSA") || !strings.Contains(notices[1], "TLSA") {
			t.Errorf("%d notices:\n%s", len(notices), strings.Join(notices, "\n=======\n"))
		}
		if l := leaked(w.clinic); len(l) > 0 {
			t.Errorf("in the clear: %q", l)
		}
	}, long)
}

// Where no host is left to dial the record says what was published, as where one was dialled.
func TestWhatIsPublishedIsRecordedWhereNothingIsDialled(t *testing.T) {
	story(t, func(w *world) {
		w.zone(tlsa("servfail"))
		w.mode(policy.Enforced)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(time.Minute)
		r := w.one(queue.Ordinary)
		if got := trace.Of(&r); got.Reason != string(policy.DNSServfail) || got.Policy != policy.PublishedDANE || got.MX != "mx.clinic.test" {
			t.Errorf("reason %q, policy %q, host %q", got.Reason, got.Policy, got.MX)
		}
	})
}
