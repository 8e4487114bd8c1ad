package deliver_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/deliver"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

var (
	promise   = []string{"PIPELINING", "8BITMIME", "REQUIRETLS"}
	noPromise = []string{"PIPELINING", "8BITMIME"}
)

// host adds a mail host with a good certificate, whose name signed DNS proves, and that offers keywords in the clear
// and inside TLS.
func (w *world) host(name string, clear, inside []string, o pki.Options) {
	o.Names = []string{name}
	w.mx(name, partner.Behaviour{TLS: w.cert(o), Keywords: clear, Inside: inside})
	hop := &w.plan.Hops[len(w.plan.Hops)-1]
	hop.Proven, hop.By = true, policy.MXBySignedDNS
}

// Where a message with REQUIRETLS goes (RFC 8689 §4.2.1), and whether it is hopeless where it goes nowhere.
func TestWhereMailWithRequireTLSGoes(t *testing.T) {
	expired := pki.Options{NotAfter: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, c := range []struct {
		name       string
		build      func(w *world)
		at         string
		reason     policy.Reason
		unpromised bool
	}{
		{"offered inside TLS alone", func(w *world) { w.host("mx1.clinic.test", noPromise, promise, pki.Options{}) }, "192.0.2.10", "", false},
		{"offered before TLS too", func(w *world) { w.host("mx1.clinic.test", promise, promise, pki.Options{}) }, "192.0.2.10", "", false},
		{"offered before TLS alone", func(w *world) { w.host("mx1.clinic.test", promise, noPromise, pki.Options{}) },
			"", policy.RequireTLSNotOffered, true},
		{"never offered", func(w *world) { w.host("mx1.clinic.test", noPromise, noPromise, pki.Options{}) },
			"", policy.RequireTLSNotOffered, true},
		{"offered without TLS", func(w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{Keywords: promise})
			w.plan.Hops[0].Proven = true
		}, "", policy.StartTLSNotOffered, false},
		{"the second of two offers it", func(w *world) {
			w.host("mx1.clinic.test", noPromise, noPromise, pki.Options{})
			w.host("mx2.clinic.test", noPromise, promise, pki.Options{})
		}, "192.0.2.20", "", false},
		{"neither of two", func(w *world) {
			w.host("mx1.clinic.test", noPromise, noPromise, pki.Options{})
			w.host("mx2.clinic.test", promise, noPromise, pki.Options{})
		}, "", policy.RequireTLSNotOffered, true},
		{"one without, one busy: that may offer it later", func(w *world) {
			w.host("mx1.clinic.test", noPromise, noPromise, pki.Options{})
			w.mx("mx2.clinic.test", partner.Behaviour{Fault: partner.Busy})
		}, "", policy.RequireTLSNotOffered, false},
		{"one without, one whose certificate has expired", func(w *world) {
			w.host("mx1.clinic.test", noPromise, noPromise, pki.Options{})
			w.host("mx2.clinic.test", promise, promise, expired)
		}, "", policy.RequireTLSNotOffered, false},
		{"expired and not offered: nobody knows who said so", func(w *world) { w.host("mx1.clinic.test", noPromise, noPromise, expired) },
			"", policy.CertExpired, false},
		{"expired, and offered", func(w *world) { w.host("mx1.clinic.test", promise, promise, expired) }, "", policy.CertExpired, false},
		{"the name comes from unsigned DNS", func(w *world) {
			w.host("mx1.clinic.test", promise, promise, pki.Options{})
			w.plan.Hops[0].Proven, w.plan.Hops[0].By = false, ""
		}, "", policy.MXUnproven, false},
		{"self-signed, and a TLSA record matches", func(w *world) {
			b := partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true}), Inside: promise}
			w.mx("mx1.clinic.test", b)
			w.publish(policy.Enforced, of(w.t, b, 3))
		}, "192.0.2.10", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				c.build(w)
				climbed := w.send(w.deliverer(), policy.RequireTLSDemand())
				if at, _ := w.took(); at != c.at || climbed.Attempt.Reason != c.reason || climbed.Unpromised != c.unpromised {
					t.Fatalf("went to %q for %q, unpromised %v; want %q for %q, %v\n%+v", at, climbed.Attempt.Reason, climbed.Unpromised,
						c.at, c.reason, c.unpromised, climbed.Attempt.Tries)
				}
				for ip, p := range w.partners {
					heard := slices.ContainsFunc(p.Commands(), func(c partner.Command) bool { return c.Verb == "MAIL" })
					if heard != (ip == c.at) {
						t.Errorf("%s heard MAIL: %v", ip, heard)
					}
				}
			})
		})
	}
}

// The promise is a fact of the connection: it outlives the examination that is made anew before each message.
func TestThePromiseIsKeptOverTheNextExamination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.host("mx1.clinic.test", noPromise, promise, pki.Options{})
		r := policy.RequireTLSDemand()
		c := w.deliverer().Open(t.Context(), "site", &w.plan, r, nil)
		if c.Channel == nil {
			t.Fatal(c.Attempt.Reason)
		}
		defer c.Channel.Close()
		for range 3 {
			time.Sleep(10 * time.Second)
			tx := letter()
			tx.Envelope.RequireTLS = true
			if _, err := c.Channel.Send(t.Context(), deliver.Terms{Requirement: r}, tx); err != nil {
				t.Fatal(err)
			}
		}
		said := 0
		for _, c := range w.partners["192.0.2.10"].Commands() {
			if c.Verb == "MAIL" && strings.HasSuffix(c.Line, " REQUIRETLS") {
				said++
			}
		}
		if said != 3 {
			t.Errorf("REQUIRETLS was said %d times", said)
		}
	})
}

func letter() *smtpclient.Transaction {
	return &smtpclient.Transaction{Envelope: mail.Envelope{From: mail.MustAddress("a@example.test")},
		Recipients: []mail.Recipient{{Address: mail.MustAddress("b@clinic.test")}}, Body: strings.NewReader("x\r\n")}
}

// A channel that was opened without what is published carries nothing that keeps to it, whatever else they have in
// common; one that was opened with it carries both.
func TestAWaivedChannelCarriesOnlyWhatWaives(t *testing.T) {
	for _, waived := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			b := partner.Behaviour{TLS: w.cert(pki.Options{})}
			w.mx("mx1.clinic.test", b)
			if w.plan.Waived = waived; waived {
				w.publish(policy.Waived, stranger(3))
			} else {
				w.publish(policy.Enforced, of(t, b, 3))
			}
			c := w.deliverer().Open(t.Context(), "site", &w.plan, policy.Requirement{}, nil)
			if c.Channel == nil {
				t.Fatal(c.Attempt.Reason)
			}
			defer c.Channel.Close()
			if c.Channel.Waived() != waived || slices.Contains(c.Attempt.Notes, deliver.NoteWaived) != waived {
				t.Errorf("waived %v: %v, notes %q", waived, c.Channel.Waived(), c.Attempt.Notes)
			}
			if waived && c.Attempt.Tries[0].Published[0].Shortfalls[0].Reason != policy.DANEMismatch {
				t.Errorf("what was set aside is not shown: %+v", c.Attempt.Tries[0].Published)
			}
			_, err := c.Channel.Send(context.Background(), deliver.Terms{}, letter())
			if errors.As(err, new(*deliver.Lapsed)) != waived {
				t.Errorf("waived %v, and without a waiver: %v", waived, err)
			}
			if _, err := c.Channel.Ask(context.Background(), deliver.Terms{}, mail.Address{}, mail.MustAddress("b@clinic.test"),
				func() bool { return true }); errors.As(err, new(*deliver.Lapsed)) != waived {
				t.Errorf("waived %v, and asked without a waiver: %v", waived, err)
			}
			if _, err := c.Channel.Send(context.Background(), deliver.Terms{Waives: true}, letter()); err != nil {
				t.Errorf("waived %v, and with a waiver: %v", waived, err)
			}
		})
	}
}

// A rule stands beside a waiver as it stands without one.
func TestAWaiverLowersNoRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})})
		w.publish(policy.Waived, stranger(3))
		w.plan.Waived = true
		for _, r := range []policy.Requirement{forced, policy.RequireTLSDemand(), {Channel: policy.Authenticated, Peer: []policy.PeerDemand{{By: policy.ByTLSA}}}} {
			if c := w.deliverer().Open(t.Context(), "site", &w.plan, r, nil); c.Channel != nil {
				t.Errorf("%s passed", r.Key())
				c.Channel.Close()
			}
		}
		if len(w.leaked()) > 0 {
			t.Error(w.leaked())
		}
	})
}
