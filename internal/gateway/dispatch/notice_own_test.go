package dispatch_test

import (
	"net/netip"
	"testing"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// The way to example.test demands authenticated TLS, that to branch.test nothing. Nobody is known at example.test.
func (w *world) demandingOwn() {
	w.reload(func(c *route.Config) {
		w.owns(c)
		c.Own[0].Require = policy.Authenticated
		c.Own = append(c.Own, route.Own{Domain: mail.MustDomain("branch.test"), To: []route.HostPort{{IP: netip.MustParseAddr("192.0.2.20"), Port: 25}}})
	})
	refuses := partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mail.example.test"}}), Replies: map[string]string{"RCPT": "550 5.1.1 nobody"}}
	w.own.Set(refuses)
	w.clinic.Set(partner.Behaviour{Fault: partner.NoTLS})
	w.shop.Set(partner.Behaviour{Fault: partner.NoTLS})
	w.start()
}

func TestWhatOurOwnLegDemandsIsNotDemandedOfAStranger(t *testing.T) {
	story(t, func(w *world) {
		w.demandingOwn()
		w.accept("dr@clinic.test", nil, "nobody@example.test")
		time.Sleep(40 * time.Second) // no try is under way then
		w.want("the report to a stranger without TLS", "1 delivered, 0 held, 0 failed")
		if rec := w.one(queue.DSN); rec.Requirement.Forced() || len(w.clinic.Messages()) != 1 {
			t.Errorf("the report demands %v, and %d arrived", rec.Requirement, len(w.clinic.Messages()))
		}
		if got := leaked(w.own); len(got) > 0 {
			t.Errorf("our own server heard without TLS: %q", got)
		}
	})
}

func TestWhatOurOwnLegDemandsIsDemandedOfAReportToOurselves(t *testing.T) {
	story(t, func(w *world) {
		w.demandingOwn()
		w.accept("anna@branch.test", nil, "nobody@example.test")
		time.Sleep(40 * time.Second) // no try is under way then
		w.want("the report to another domain of ours", "0 delivered, 1 held, 0 failed")
		if got := leaked(w.shop); len(got) > 0 {
			t.Errorf("heard without TLS: %q", got)
		}
	})
}

// A rule that forces mail forces the report wherever it goes.
func TestWhatARuleForcesIsDemandedOfAStranger(t *testing.T) {
	story(t, func(w *world) {
		w.demandingOwn()
		w.apply(clinicRule)
		w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Replies: map[string]string{"RCPT": "550 5.1.1 nobody"}})
		w.accept("buyer@stranger.test", nil, "dr@clinic.test")
		time.Sleep(40 * time.Second) // no try is under way then
		if rec := w.one(queue.DSN); !rec.Requirement.Forced() {
			t.Errorf("a report about a forced delivery demands %v", rec.Requirement)
		}
	})
}
