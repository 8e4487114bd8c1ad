package deliver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// silent adds a host that takes connections and never says a word.
func (w *world) silent(host string) {
	ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 * (len(w.plan.Hops) + 1))})
	l, err := w.net.Listen(netip.AddrPortFrom(ip, 25).String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	w.plan.Hops = append(w.plan.Hops, route.Hop{Host: mail.MustDomain(host), Port: 25, Addrs: []netip.Addr{ip}})
}

func TestASilentHostLeavesTimeForTheNext(t *testing.T) {
	for name, r := range map[string]policy.Requirement{"forced": forced, "ordinary": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				w.silent("mx1.clinic.test")
				w.mx("mx2.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx2.clinic.test"}})})
				c := w.send(w.deliverer(), r)
				if at, _ := w.took(); at != "192.0.2.20" {
					t.Fatalf("delivered at %q: %q", at, c.Attempt.Reason)
				}
			})
		})
	}
}

func TestASilentHostLeavesTimeForALowerRungAtAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
		w.silent("mx2.clinic.test")
		c := w.send(w.deliverer(), policy.Requirement{})
		if at, _ := w.took(); at != "192.0.2.10" {
			t.Fatalf("delivered at %q: %q", at, c.Attempt.Reason)
		}
	})
}

func TestHostsThatHangInTheHandshakeLeaveTimeForPlaintext(t *testing.T) {
	for hosts := 1; hosts <= 5; hosts++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			for i := range hosts {
				w.mx("mx"+string(rune('1'+i))+".clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{}), Fault: partner.HangsTLS})
			}
			c := w.send(w.deliverer(), policy.Requirement{})
			if at, overTLS := w.took(); at == "" || overTLS {
				t.Fatalf("%d hosts: delivered at %q (TLS %v): %q", hosts, at, overTLS, c.Attempt.Reason)
			}
		})
	}
}

func TestPeersThatHangAtALargeHelloGetAClassicalOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		for i := range 5 {
			host := "mx" + string(rune('1'+i)) + ".clinic.test"
			c := w.cert(pki.Options{Names: []string{host}, SelfSigned: i < 4})
			c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				for _, group := range h.SupportedCurves {
					if group == tls.X25519MLKEM768 {
						<-h.Context().Done()
						return nil, context.Canceled
					}
				}
				return nil, nil
			}
			w.mx(host, partner.Behaviour{TLS: c})
		}
		c := w.send(w.deliverer(), forced)
		if at, _ := w.took(); at != "192.0.2.50" {
			t.Fatalf("delivered at %q: %q", at, c.Attempt.Reason)
		}
	})
}

func TestAHostWhoseLookUpFailedMayHaveTLS(t *testing.T) {
	for reason, want := range map[policy.Reason]bool{
		policy.DNSServfail: false, policy.DNSTimeout: false, policy.DNSSECBogus: false, policy.STSMXMismatch: false,
		policy.DNSNoAddress: true, policy.MXPrivate: true,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			w.mx("mx1.clinic.test", partner.Behaviour{Fault: partner.NoTLS})
			w.plan.Hops = append(w.plan.Hops, route.Hop{Host: mail.MustDomain("mx2.clinic.test"), Port: 25,
				Problem: &route.Problem{Reason: reason, Text: "x"}})
			if got := w.send(w.deliverer(), forced); got.WithoutTLS != want {
				t.Errorf("%s: WithoutTLS %v, want %v", reason, got.WithoutTLS, want)
			}
		})
	}
}

func TestForcedMailNeverNegotiatesABrokenCipher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		c := w.cert(pki.Options{Key: pki.RSA2048})
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA,
			tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
		old := forced
		old.MinTLS = tls.VersionTLS10
		if got := w.send(w.deliverer(), old); got.Channel != nil {
			t.Errorf("forced mail used %v", got.Attempt.Used().Evidence.TLS)
		}
		if got := w.send(w.deliverer(), policy.Requirement{}); got.Attempt.Used().Reached != policy.Encrypted {
			t.Errorf("ordinary mail reached %v", got.Attempt.Used().Reached)
		}
	})
}

func TestTheRecordOfAConnectionDoesNotChangeWhenItIsJudgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.cert(pki.Options{NotAfter: now().Add(time.Hour)})})
		c := w.deliverer().Open(context.Background(), "site", &w.plan, forced, nil)
		defer c.Channel.Close()
		record := c.Attempt.Used().Evidence
		if record.Reached(forced) != policy.Authenticated {
			t.Fatal(c.Attempt.Reason)
		}
		time.Sleep(2 * time.Hour)
		_, _ = c.Channel.Send(context.Background(), deliver.Terms{Requirement: forced}, nil) // lapsed: refused before anything is looked at
		if record.Reached(forced) != policy.Authenticated {
			t.Error("the record of the attempt changed afterwards")
		}
	})
}

// sluggish adds a host that reads content at a few hundred octets a second, never so slowly that a write times out.
func (w *world) sluggish(host string) {
	ip := netip.AddrFrom4([4]byte{192, 0, 2, 10})
	l, err := w.net.Listen(netip.AddrPortFrom(ip, 25).String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	w.plan.Hops = append(w.plan.Hops, route.Hop{Host: mail.MustDomain(host), Port: 25, Addrs: []netip.Addr{ip}})
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		r := bufio.NewReaderSize(nc, 16)
		for _, answer := range []string{"220 hi", "250 hi", "250 ok", "250 ok", "354 go on"} {
			if answer != "220 hi" {
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
			}
			if _, err := nc.Write([]byte(answer + "\r\n")); err != nil {
				return
			}
		}
		for buf := make([]byte, 32<<10); err == nil; time.Sleep(80 * time.Second) {
			_, err = io.ReadFull(nc, buf)
		}
	}()
}

func TestATransferThatCreepsComesToAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.sluggish("mx1.clinic.test")
		c := w.deliverer().Open(context.Background(), "site", &w.plan, policy.Requirement{}, nil)
		if c.Channel == nil {
			t.Fatal(c.Attempt.Text)
		}
		defer time.Sleep(time.Hour) // the server reads to its end
		defer c.Channel.Close()
		began := time.Now()
		_, err := c.Channel.Send(context.Background(), deliver.Terms{}, &smtpclient.Transaction{
			Recipients: []mail.Recipient{{Address: mail.MustAddress("b@clinic.test")}},
			Body:       strings.NewReader("Subject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 1<<20)),
		})
		if err == nil || time.Since(began) > 2*time.Hour {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	})
}
