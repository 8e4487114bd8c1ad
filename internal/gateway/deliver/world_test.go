package deliver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// world is a network in memory with partners, inside a synctest bubble.
type world struct {
	t        *testing.T
	net      *memnet.Network
	ca       *pki.CA
	partners map[string]*partner.Partner
	plan     route.Plan
	roots    map[string]*x509.CertPool
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, net: memnet.New(), ca: pki.New(time.Now(), "Test CA"), partners: map[string]*partner.Partner{}}
	w.plan.Domain = mail.MustDomain("clinic.test")
	w.roots = map[string]*x509.CertPool{policy.PublicTrust: w.ca.Pool()}
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	for _, p := range w.partners {
		p.Close()
	}
}

// mx adds a host with one address for each behaviour.
func (w *world) mx(host string, behaviours ...partner.Behaviour) {
	hop := route.Hop{Host: mail.MustDomain(host), Port: 25, Pref: uint16(10 * (len(w.plan.Hops) + 1))}
	for i, b := range behaviours {
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(10*(len(w.plan.Hops)+1) + i)})
		hop.Addrs = append(hop.Addrs, ip)
		l, err := w.net.Listen(netip.AddrPortFrom(ip, 25).String())
		if err != nil {
			w.t.Fatal(err)
		}
		w.partners[ip.String()] = partner.Serve(host, l, b)
	}
	w.plan.Hops = append(w.plan.Hops, hop)
}

func (w *world) cert(o pki.Options) *tls.Config {
	if o.Names == nil {
		o.Names = []string{"mx1.clinic.test"}
	}
	return &tls.Config{Certificates: []tls.Certificate{w.ca.Issue(o).TLS}}
}

func (w *world) deliverer() *deliver.Deliverer {
	return deliver.New(deliver.Config{
		Dialer: w.net.Dialer("192.0.2.1"), Legacy: true,
		Roots: func(...string) (map[string]*x509.CertPool, error) { return w.roots, nil },
		SMTP:  smtpclient.Config{Hello: "gw.example.test"},
	})
}

// send climbs and, if that led anywhere, sends one message.
func (w *world) send(d *deliver.Deliverer, r policy.Requirement) deliver.Climbed {
	c := d.Open(context.Background(), "site", &w.plan, r, nil)
	if c.Channel == nil {
		return c
	}
	defer c.Channel.Close()
	_, err := c.Channel.Send(context.Background(), deliver.Terms{Requirement: r}, &smtpclient.Transaction{
		Envelope:   mail.Envelope{From: mail.MustAddress("a@example.test")},
		Recipients: []mail.Recipient{{Address: mail.MustAddress("b@clinic.test")}},
		Body:       strings.NewReader("Subject: x\r\n\r\nhello\r\n"),
	})
	if err != nil {
		w.t.Errorf("Send over a passed channel: %v", err)
	}
	return c
}

// took returns the address that accepted the message, "" for none, and checks that it is the only one.
func (w *world) took() (address string, overTLS bool) {
	for ip, p := range w.partners {
		for _, m := range p.Messages() {
			if address != "" {
				w.t.Errorf("the message arrived at %s and at %s", address, ip)
			}
			address, overTLS = ip, m.TLS
		}
	}
	return address, overTLS
}

// leaked reports mail commands that came without TLS.
func (w *world) leaked() (out []string) {
	for ip, p := range w.partners {
		for _, c := range p.Commands() {
			if !c.TLS && (c.Verb == "MAIL" || c.Verb == "RCPT" || c.Verb == "DATA" || c.Verb == "BDAT") {
				out = append(out, ip+": "+c.Line)
			}
		}
	}
	return out
}

var forced = policy.Requirement{Channel: policy.Authenticated, Peer: []policy.PeerDemand{policy.PublicDemand()}}

type situation struct {
	name  string
	build func(w *world)
	// forcedReason is why a forced delivery falls short, "" when it passes.
	forcedReason policy.Reason
	// reached is what ordinary mail reaches, at the host numbered here; reason why not higher.
	reached policy.Level
	at      string
	reason  policy.Reason
}

func now() time.Time { return time.Now() }

var situations = []situation{
	{"a good certificate", func(w *world) { w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{})}) },
		"", policy.Authenticated, "192.0.2.10", ""},
	{"an expired certificate", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{NotAfter: now().Add(-time.Hour)})})
	}, policy.CertExpired, policy.Encrypted, "192.0.2.10", policy.CertExpired},
	{"a certificate not yet valid", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{NotBefore: now().Add(time.Hour)})})
	}, policy.CertNotYetValid, policy.Encrypted, "192.0.2.10", policy.CertNotYetValid},
	{"a self-signed certificate", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})})
	}, policy.CertSelfSigned, policy.Encrypted, "192.0.2.10", policy.CertSelfSigned},
	{"an unknown CA", func(w *world) {
		other := pki.New(now(), "Other CA").Issue(pki.Options{Names: []string{"mx1.clinic.test"}, SendRoot: true})
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{other.TLS}}})
	}, policy.CertUntrusted, policy.Encrypted, "192.0.2.10", policy.CertUntrusted},
	{"a missing intermediate", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{OmitIntermediates: true})})
	}, policy.CertIncompleteChain, policy.Encrypted, "192.0.2.10", policy.CertIncompleteChain},
	{"a wrong name", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"other.test"}})})
	}, policy.CertNameMismatch, policy.Encrypted, "192.0.2.10", policy.CertNameMismatch},
	{"no STARTTLS", func(w *world) { w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.NoTLS}) },
		policy.StartTLSNotOffered, policy.Plaintext, "192.0.2.10", policy.StartTLSNotOffered},
	{"a masked STARTTLS", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.Masked})
	}, policy.StartTLSStripped, policy.Plaintext, "192.0.2.10", policy.StartTLSStripped},
	{"STARTTLS refused", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.RefusesTLS})
	}, policy.StartTLSRefused, policy.Plaintext, "192.0.2.10", policy.StartTLSRefused},
	{"text instead of a handshake", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.BreaksTLS})
	}, policy.TLSHandshake, policy.Plaintext, "192.0.2.10", policy.TLSHandshake},
	{"a connection closed instead of a handshake", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.ResetsTLS})
	}, policy.TLSClosed, policy.Plaintext, "192.0.2.10", policy.TLSClosed},
	{"silence instead of a handshake", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.HangsTLS})
	}, policy.TLSTimeout, policy.Plaintext, "192.0.2.10", policy.TLSTimeout},
	{"only TLS 1.0", func(w *world) {
		c := w.cert(pki.Options{})
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
	}, policy.TLSVersion, policy.Encrypted, "192.0.2.10", policy.TLSVersion},
	{"the first MX expired, the second good", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{NotAfter: now().Add(-time.Hour)})})
		w.mx("mx2.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx2.clinic.test"}})})
	}, "", policy.Encrypted, "192.0.2.10", policy.CertExpired},
	{"the first MX without TLS, the second self-signed", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
		w.mx("mx2.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})})
	}, policy.CertSelfSigned, policy.Encrypted, "192.0.2.20", policy.CertSelfSigned},
	{"two addresses, the first expired", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{NotAfter: now().Add(-time.Hour)})},
			partner.Behaviour{TLS: w.cert(pki.Options{})})
	}, "", policy.Encrypted, "192.0.2.10", policy.CertExpired},
	{"the first MX busy, the second without TLS", func(w *world) {
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.Busy})
		w.mx("mx2.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
	}, policy.StartTLSNotOffered, policy.Plaintext, "192.0.2.20", policy.StartTLSNotOffered},
}

func TestForcedMailPassesTheVerdictOrIsNotSpokenOf(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				s.build(w)
				c := w.send(w.deliverer(), forced)
				if leaks := w.leaked(); len(leaks) > 0 {
					t.Fatalf("mail commands without TLS: %q", leaks)
				}
				at, _ := w.took()
				if c.Attempt.Reason != s.forcedReason || (at != "") != (s.forcedReason == "") {
					t.Fatalf("reason %q, delivered at %q; want reason %q\n%+v", c.Attempt.Reason, at, s.forcedReason, c.Attempt.Tries)
				}
				if s.forcedReason != "" {
					return
				}
				if used := c.Attempt.Used(); used == nil || used.Reached != policy.Authenticated {
					t.Fatalf("delivered over %+v", used)
				}
			})
		})
	}
}

func TestOrdinaryMailTakesTheHighestRungThereIs(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				s.build(w)
				c := w.send(w.deliverer(), policy.Requirement{})
				at, overTLS := w.took()
				used := c.Attempt.Used()
				if used == nil || at != s.at {
					t.Fatalf("delivered at %q, want %q: %q\n%+v", at, s.at, c.Attempt.Reason, c.Attempt.Tries)
				}
				if used.Reached != s.reached || overTLS != (s.reached > policy.Plaintext) {
					t.Errorf("reached %v (TLS %v), want %v", used.Reached, overTLS, s.reached)
				}
				if c.Attempt.Reason != s.reason {
					t.Errorf("reason %q, want %q", c.Attempt.Reason, s.reason)
				}
			})
		})
	}
}

func TestUnspecifiedRecipientsTryAuthenticatedAtEveryHostFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})})
		w.mx("mx2.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx2.clinic.test"}})})
		aim := policy.Requirement{Aim: policy.Authenticated}
		c := w.send(w.deliverer(), aim)
		if at, _ := w.took(); at != "192.0.2.20" || c.Attempt.Used().Reached != policy.Authenticated {
			t.Fatalf("delivered at %q over %+v, want the authenticated second host", at, c.Attempt.Used())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
		w.mx("mx2.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})})
		w.send(w.deliverer(), policy.Requirement{Aim: policy.Authenticated})
		if at, overTLS := w.took(); at != "192.0.2.20" || !overTLS {
			t.Fatalf("delivered at %q (TLS %v), want the encrypted second host", at, overTLS)
		}
	})
}

func TestWithoutTLSNeedsEveryHostToSaySo(t *testing.T) {
	none := partner.Behaviour{Fault: partner.NoTLS}
	cases := []struct {
		name  string
		build func(w *world)
		want  bool
	}{
		{"one host without", func(w *world) { w.mx("mx1.clinic.test", none) }, true},
		{"two hosts without", func(w *world) { w.mx("mx1.clinic.test", none); w.mx("mx2.clinic.test", none) }, true},
		{"masked", func(w *world) { w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.Masked}) }, false},
		{"offered and refused", func(w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.RefusesTLS})
		}, false},
		{"the other host is down", func(w *world) {
			w.mx("mx1.clinic.test", none)
			w.mx("mx2.clinic.test", partner.Behaviour{Fault: partner.Busy})
		}, false},
		{"the other host has TLS", func(w *world) {
			w.mx("mx1.clinic.test", none)
			w.mx("mx2.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{SelfSigned: true})})
		}, false},
		{"it publishes that it has TLS", func(w *world) { w.mx("mx1.clinic.test", none); w.publish(policy.Enforced, stranger(3)) }, false},
		{"the same, and that is only observed", func(w *world) { w.mx("mx1.clinic.test", none); w.publish(policy.Observed, stranger(3)) }, false},
		{"it publishes nothing that can be used, and so TLS", func(w *world) { w.mx("mx1.clinic.test", none); w.publish(policy.Enforced, stranger(1)) }, false},
		{"the other host could not be asked what it demands", func(w *world) {
			w.mx("mx1.clinic.test", none)
			w.plan.Hops = append(w.plan.Hops, route.Hop{Host: mail.MustDomain("mx2.clinic.test"), Problem: &route.Problem{Reason: policy.DNSServfail}})
		}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				c.build(w)
				if got := w.send(w.deliverer(), forced); got.WithoutTLS != c.want {
					t.Fatalf("WithoutTLS %v, want %v", got.WithoutTLS, c.want)
				}
			})
		})
	}
}

func TestALegacyRungThatIsOffIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		c := w.cert(pki.Options{})
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
		d := deliver.New(deliver.Config{Dialer: w.net.Dialer("192.0.2.1"), SMTP: smtpclient.Config{Hello: "gw"},
			Roots: func(...string) (map[string]*x509.CertPool, error) { return w.roots, nil }})
		w.send(d, policy.Requirement{})
		if _, overTLS := w.took(); overTLS {
			t.Fatal("TLS 1.0 was used though the legacy rung is off")
		}
	})
}

func TestAPeerThatChokesOnALargeHelloGetsAClassicalOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		c := w.cert(pki.Options{})
		c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			for _, group := range h.SupportedCurves {
				if group == tls.X25519MLKEM768 {
					return nil, context.Canceled // breaks the handshake
				}
			}
			return nil, nil
		}
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
		got := w.send(w.deliverer(), forced)
		if used := got.Attempt.Used(); used == nil || used.Rung != "tls-classical" {
			t.Fatalf("tries: %+v", got.Attempt.Tries)
		}
	})
}

func TestAResumedSessionNeverRaisesTrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{NotAfter: now().Add(time.Hour)})})
		d := w.deliverer()
		if c := w.send(d, forced); c.Channel == nil {
			t.Fatalf("first delivery: %q", c.Attempt.Reason)
		}
		time.Sleep(2 * time.Hour) // the certificate runs out, the ticket does not
		if c := w.send(d, forced); c.Channel != nil || c.Attempt.Reason != policy.CertExpired {
			t.Fatalf("over a resumed session of an expired certificate: reason %q, want cert-expired", c.Attempt.Reason)
		}
		w.partners["192.0.2.10"].Set(partner.Behaviour{TLS: w.cert(pki.Options{NotBefore: now().Add(-time.Minute), NotAfter: now().Add(time.Hour)})})
		if c := w.send(d, forced); c.Channel == nil {
			t.Fatalf("a repaired certificate behind an old ticket: %q", c.Attempt.Reason)
		}
	})
}

func TestAnOpenChannelIsJudgedAgainBeforeEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{NotAfter: now().Add(time.Hour)})})
		c := w.deliverer().Open(context.Background(), "site", &w.plan, forced, nil)
		if c.Channel == nil {
			t.Fatal(c.Attempt.Reason)
		}
		defer c.Channel.Close()
		tx := &smtpclient.Transaction{Recipients: []mail.Recipient{{Address: mail.MustAddress("b@clinic.test")}},
			Body: strings.NewReader("Subject: x\r\n\r\n")}
		if _, err := c.Channel.Send(context.Background(), deliver.Terms{}, tx); err == nil {
			t.Error("a message of another requirement was sent")
		}
		time.Sleep(2 * time.Hour)
		if _, err := c.Channel.Send(context.Background(), deliver.Terms{Requirement: forced}, tx); err == nil {
			t.Error("a message was sent after the certificate had run out")
		}
		for _, cmd := range w.partners["192.0.2.10"].Commands() {
			if cmd.Verb == "MAIL" {
				t.Error("MAIL was said")
			}
		}
	})
}
