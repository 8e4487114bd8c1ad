package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/dispatch"
	"postern/internal/policy"
	"postern/internal/queue"
)

// The ways in which DNS says that nobody takes mail for clinic.test.
var noes = map[string]struct {
	zone   string
	reason policy.Reason
}{
	"no such domain":      {"clinic.test nxdomain\n", policy.DNSNXDomain},
	"null MX":             {"clinic.test MX 0 .\n", policy.DNSNullMX},
	"neither MX nor host": {"clinic.test TXT none\n", policy.DNSNoAddress},
	"we are its MX":       {"clinic.test MX 10 gw.example.test\n", policy.MXLoop},
}

// TestAnUnsignedNoReturnsProtectedMailOnlyAfterAnHour: one forged answer must not return it; a signed one does at once,
// and ordinary mail goes by any.
func TestAnUnsignedNoReturnsProtectedMailOnlyAfterAnHour(t *testing.T) {
	for name, no := range noes {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.zone("!" + no.zone)
				w.apply(clinicRule)
				w.start()
				w.accept("a@example.test", nil, "dr@clinic.test")
				time.Sleep(55 * time.Minute)
				rec := w.one(queue.Ordinary)
				if rec.State != queue.Queued || rec.SiteState.Last.Reason != no.reason || !strings.Contains(rec.SiteState.Last.Text, "until it has stood for 1h") {
					t.Fatalf("%v %+v", rec.State, rec.SiteState.Last)
				}
				time.Sleep(90 * time.Minute)
				rec = w.one(queue.Ordinary)
				if rec.State != queue.Failed || rec.Reason != no.reason || len(w.own.Messages()) != 1 {
					t.Fatalf("after the hour: %v %v, %d reports", rec.State, rec.Reason, len(w.own.Messages()))
				}
				if report := string(w.own.Messages()[0].Data); !strings.Contains(report, "nobody signed that") {
					t.Errorf("the report does not say it:\n%s", report)
				}
			})
			for what, c := range map[string]struct{ zone, rule string }{"signed": {no.zone, clinicRule}, "ordinary": {"!" + no.zone, ""}} {
				story(t, func(w *world) {
					w.zone(c.zone)
					w.apply(c.rule)
					w.start()
					w.accept("a@example.test", nil, "dr@clinic.test")
					time.Sleep(10 * time.Second)
					if rec := w.one(queue.Ordinary); rec.State != queue.Failed || rec.Reason != no.reason {
						t.Errorf("%s: %v %v", what, rec.State, rec.Reason)
					}
				})
			}
		})
	}
}

// TestAForgedNoHurtsNoProtectedMail: the true answer comes back and the mail is delivered; a later "no" begins its hour
// anew.
func TestAForgedNoHurtsNoProtectedMail(t *testing.T) {
	story(t, func(w *world) {
		w.zone("!clinic.test nxdomain\n")
		w.clinic.Set(w.expired("mx.clinic.test"))
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(50 * time.Minute)
		w.zone(atHome) // it waits for the certificate
		time.Sleep(2 * time.Hour)
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.CertExpired {
			t.Fatalf("%v %+v", rec.State, rec.SiteState.Last)
		}
		w.zone("!clinic.test nxdomain\n")
		time.Sleep(50 * time.Minute) // three probes, and no full hour
		if rec := w.one(queue.Ordinary); rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.DNSNXDomain {
			t.Fatalf("%v %+v", rec.State, rec.SiteState.Last)
		}
	})
}

func TestTheTimeOfAnUnsignedNoIsASetting(t *testing.T) {
	story(t, func(w *world) {
		w.zone("!clinic.test nxdomain\n")
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.one(queue.Ordinary); rec.State != queue.Failed {
			t.Errorf("%v", rec.State)
		}
	}, func(c *dispatch.Config) { c.UnsignedNo = -1 })
}
