package deliver_test

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/dns"
	"postern/internal/gateway/deliver"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/dane"
	"postern/internal/smtp/smtpclient"
)

// publish gives the last hop TLSA records, as a plan finds them.
func (w *world) publish(mode string, records ...dns.TLSA) {
	hop := &w.plan.Hops[len(w.plan.Hops)-1]
	hop.Proven, hop.By = true, policy.MXBySignedDNS
	p := policy.Published{Kind: policy.PublishedDANE, Mode: mode, Demand: policy.HostDemand()}
	for _, r := range records {
		p.Records = append(p.Records, dane.Format(r))
	}
	if set := dane.Sort(records); len(set.Usable) == 0 {
		p.Demand, p.Unusable = policy.EncryptedDemand(), len(records)
	} else {
		hop.TLSA, hop.Bases = set.Usable, []mail.Domain{hop.Host, w.plan.Domain}
	}
	hop.Published = append(hop.Published, p)
}

// of is the record of the certificate that a behaviour presents.
func of(t *testing.T, b partner.Behaviour, usage uint8) dns.TLSA {
	t.Helper()
	leaf, err := x509.ParseCertificate(b.TLS.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	r, err := dane.Of(leaf, usage, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stranger is a record of no certificate here.
func stranger(usage uint8) dns.TLSA {
	return dns.TLSA{Usage: usage, Selector: 1, Matching: 1, Data: []byte(strings.Repeat("x", 32))}
}

func TestOrdinaryMailUnderDANE(t *testing.T) {
	for _, c := range []struct {
		name     string
		build    func(t *testing.T, w *world)
		at       string // the host that takes the mail, "" where it waits
		reason   policy.Reason
		provedBy string
		note     string
	}{
		{"self-signed, expired, of another name: the record matches", func(t *testing.T, w *world) {
			b := partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true, Names: []string{"other.test"}, NotAfter: now().Add(-time.Hour)})}
			w.mx("mx1.clinic.test", b)
			w.publish(policy.Enforced, of(t, b, 3))
		}, "192.0.2.10", "", policy.ByDANEEE, ""},
		{"a good public certificate, and no record matches", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
			w.publish(policy.Enforced, stranger(3))
		}, "", policy.DANEMismatch, "", ""},
		{"a rollover: one of two matches", func(t *testing.T, w *world) {
			b := partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})}
			w.mx("mx1.clinic.test", b)
			w.publish(policy.Enforced, stranger(3), of(t, b, 3))
		}, "192.0.2.10", "", policy.ByDANEEE, ""},
		{"no STARTTLS where records exist", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
			w.publish(policy.Enforced, stranger(3))
		}, "", policy.StartTLSNotOffered, "", ""},
		{"a handshake that breaks where records exist", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.ResetsTLS})
			w.publish(policy.Enforced, stranger(3))
		}, "", policy.TLSClosed, "", ""},
		{"none usable: TLS with whoever answers", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})})
			w.publish(policy.Enforced, stranger(1))
		}, "192.0.2.10", policy.CertSelfSigned, "", string(policy.DANEUnusable)},
		{"none usable, and no TLS", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
			w.publish(policy.Enforced, stranger(1))
		}, "", policy.StartTLSNotOffered, "", ""},
		{"the first host falls short, the second matches", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
			w.publish(policy.Enforced, stranger(3))
			b := partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx2.clinic.test"}})}
			w.mx("mx2.clinic.test", b)
			w.publish(policy.Enforced, of(t, b, 3))
		}, "192.0.2.20", "", policy.ByDANEEE, ""},
		{"the first host falls short, the second publishes nothing and has no TLS", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
			w.publish(policy.Enforced, stranger(3))
			w.mx("mx2.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
		}, "192.0.2.20", policy.StartTLSNotOffered, "", ""},
		{"only TLS 1.0, and the record matches", func(t *testing.T, w *world) {
			b := partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})}
			b.TLS.MinVersion, b.TLS.MaxVersion = 0x0301, 0x0301
			w.mx("mx1.clinic.test", b)
			w.publish(policy.Enforced, of(t, b, 3))
		}, "192.0.2.10", "", policy.ByDANEEE, ""},
		{"observed: no record matches, and it goes", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})})
			w.publish(policy.Observed, stranger(3))
		}, "192.0.2.10", "", policy.ByCertificate, ""},
		{"observed: no TLS, and it goes", func(t *testing.T, w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
			w.publish(policy.Observed, stranger(3))
		}, "192.0.2.10", policy.StartTLSNotOffered, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				c.build(t, w)
				climbed := w.send(w.deliverer(), policy.Requirement{})
				at, _ := w.took()
				if at != c.at || climbed.Attempt.Reason != c.reason {
					t.Fatalf("went to %q for %q, want %q for %q\n%+v", at, climbed.Attempt.Reason, c.at, c.reason, climbed.Attempt.Tries)
				}
				if c.at == "" && len(w.leaked()) > 0 {
					t.Errorf("mail commands in the clear: %q", w.leaked())
				}
				if used := climbed.Attempt.Used(); used != nil && used.ProvedBy != c.provedBy {
					t.Errorf("proved by %q, want %q", used.ProvedBy, c.provedBy)
				}
				if c.note != "" && !slices.Contains(climbed.Attempt.Notes, c.note) {
					t.Errorf("notes %q, want %q", climbed.Attempt.Notes, c.note)
				}
				for _, try := range climbed.Attempt.Tries {
					for _, p := range try.Published {
						if p.Mode == policy.Observed && len(p.Shortfalls) == 0 {
							t.Errorf("what would have fallen short is not recorded: %+v", p)
						}
					}
				}
			})
		})
	}
}

// A rule and the records of a host add up: neither makes good what the other lacks.
func TestARuleAndDANEMustBothHold(t *testing.T) {
	for _, c := range []struct {
		name     string
		cert     pki.Options
		matches  bool
		by       policy.ProofBy
		expected policy.Reason
	}{
		{"both", pki.Options{}, true, policy.ByChain, ""},
		{"the record alone", pki.Options{SelfSigned: true}, true, policy.ByChain, policy.CertSelfSigned},
		{"the certificate alone", pki.Options{}, false, policy.ByChain, policy.DANEMismatch},
		{"the record alone, and the rule takes either", pki.Options{SelfSigned: true}, true, policy.ByEither, ""},
		{"the certificate alone, and the rule takes either: the host's own demand stands", pki.Options{}, false, policy.ByEither, policy.DANEMismatch},
		{"the record alone, as the rule asks", pki.Options{SelfSigned: true}, true, policy.ByTLSA, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				b := partner.Behaviour{TLS: w.cert(c.cert)}
				w.mx("mx1.clinic.test", b)
				record := stranger(3)
				if c.matches {
					record = of(t, b, 3)
				}
				w.publish(policy.Enforced, record)
				demand := policy.PublicDemand()
				demand.By = c.by
				r := policy.Combine(policy.Requirement{Channel: policy.Authenticated, Peer: []policy.PeerDemand{demand}})
				climbed := w.send(w.deliverer(), r)
				if climbed.Attempt.Reason != c.expected {
					t.Fatalf("reason %q, want %q\n%+v", climbed.Attempt.Reason, c.expected, climbed.Attempt.Tries)
				}
				if len(w.leaked()) > 0 {
					t.Errorf("mail commands in the clear: %q", w.leaked())
				}
			})
		})
	}
}

// What a host publishes has an end: a connection that has carried mail carries no more after it, for what the host
// demands may have changed.
func TestAChannelLapsesWithWhatTheHostPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		b := partner.Behaviour{TLS: w.cert(pki.Options{})}
		w.mx("mx1.clinic.test", b)
		w.publish(policy.Enforced, of(t, b, 3))
		w.plan.Hops[0].Until = time.Now().Add(time.Minute)
		c := w.deliverer().Open(t.Context(), "site", &w.plan, policy.Requirement{}, nil)
		if c.Channel == nil {
			t.Fatal(c.Attempt.Reason)
		}
		defer c.Channel.Close()
		send := func() error {
			_, err := c.Channel.Send(context.Background(), deliver.Terms{}, &smtpclient.Transaction{
				Envelope:   mail.Envelope{From: mail.MustAddress("a@example.test")},
				Recipients: []mail.Recipient{{Address: mail.MustAddress("b@clinic.test")}}, Body: strings.NewReader("x\r\n"),
			})
			return err
		}
		for range 2 {
			if err := send(); err != nil {
				t.Fatalf("before the end: %v", err)
			}
		}
		time.Sleep(time.Minute)
		if err := send(); !errors.As(err, new(*deliver.Lapsed)) {
			t.Errorf("after the end: %v", err)
		}
		if n := len(w.partners["192.0.2.10"].Messages()); n != 2 {
			t.Errorf("%d messages arrived", n)
		}
	})
}

// A record that stands twice in an answer is one record.
func TestUnusableRecordsAreNotedThoughOneStandsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})})
		w.publish(policy.Enforced, stranger(1), stranger(1))
		w.plan.Hops[0].Published[0].Unusable = 1 // as dane.Sort counts them
		climbed := w.send(w.deliverer(), policy.Requirement{})
		if n := climbed.Attempt.Notes; len(n) != 1 || n[0] != string(policy.DANEUnusable) {
			t.Errorf("notes %q", n)
		}
	})
}

// A connection that was given up for a fresh handshake is not said to have been without TLS.
func TestAGivenUpSessionIsNotObservedAsPlaintext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		b := partner.Behaviour{TLS: w.cert(pki.Options{NotAfter: now().Add(time.Hour)})}
		w.mx("mx1.clinic.test", b)
		w.publish(policy.Observed, of(t, b, 3))
		d := w.deliverer()
		w.send(d, forced)
		time.Sleep(2 * time.Hour)
		climbed := w.send(d, forced)
		for _, try := range climbed.Attempt.Tries {
			for _, p := range try.Published {
				for _, s := range p.Shortfalls {
					if s.Reason == policy.StartTLSNotOffered {
						t.Errorf("a try over TLS (%s) is said to have had none: %s", try.Text, s.Text)
					}
				}
			}
		}
	})
}
