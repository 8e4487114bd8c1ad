package examiner_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/check"
	"postern/internal/check/examiner"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
)

func TestEveryAddressHasItsOwnVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		good := w.mx("mx1.clinic.test", w.good())
		bad := netip.MustParseAddr("192.0.2.99")
		w.partners[bad.String()] = partner.Serve("mx1.clinic.test", w.listen(bad), partner.Behaviour{TLS: w.tls(pki.Options{NotAfter: time.Now().Add(-time.Hour)})})
		w.zone.WriteString("mx1.clinic.test A 192.0.2.99\n")
		r := w.check("clinic.test", nil)
		if v := r.Find(check.ForceTLS); !v.Passes() || v.IP != good {
			t.Errorf("as a whole: %+v", v)
		}
		for _, a := range r.Hosts[0].Addresses {
			want := map[netip.Addr]policy.Reason{good: "", bad: policy.CertExpired}[a.IP]
			if got := a.Verdicts[1].Reason; got != want {
				t.Errorf("%s: %q, want %q", a.IP, got, want)
			}
		}
		if f := find(r, check.AddressesDiffer); f == nil || !strings.Contains(f.Text, bad.String()) {
			t.Errorf("nobody says that the addresses differ: %+v", r.Findings)
		}
	})
}

func find(r *check.Report, code string) *check.Finding {
	for i := range r.Findings {
		if r.Findings[i].Code == code {
			return &r.Findings[i]
		}
	}
	return nil
}

func TestBytesSentEarlyAreNoticedWhenTheyAreObeyed(t *testing.T) {
	for fault, want := range map[partner.Fault]check.Early{partner.Sound: check.EarlyDiscarded, partner.TakesEarly: check.EarlyAccepted} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			b := w.good()
			b.Fault = fault
			ip := w.mx("mx1.clinic.test", b)
			r := w.check("clinic.test", nil)
			if got := r.Hosts[0].Addresses[0].Early; got != want {
				t.Errorf("%q: %q, want %q", fault, got, want)
			}
			if f := find(r, check.EarlyBytesAccepted); (f != nil) != (want == check.EarlyAccepted) {
				t.Errorf("%q: findings %+v", fault, r.Findings)
			}
			for _, c := range w.partners[ip.String()].Commands() {
				if strings.Contains("EHLO STARTTLS NOOP QUIT RSET", c.Verb) {
					continue
				}
				t.Errorf("%q was said, which may not be harmless", c.Line)
			}
		})
	}
}

func TestEveryConversationEndsWithQuit(t *testing.T) {
	for _, f := range []partner.Fault{partner.Sound, partner.NoTLS, partner.Masked, partner.RefusesTLS} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			b := w.good()
			b.Fault = f
			ip := w.mx("mx1.clinic.test", b)
			w.check("clinic.test", func(c *examiner.Config) { c.Trials = f == partner.Sound })
			conversations, quits := 0, 0
			for _, c := range w.partners[ip.String()].Commands() {
				switch {
				case c.Verb == "EHLO" && !c.TLS:
					conversations++
				case c.Verb == "QUIT":
					quits++
				}
			}
			broken := 0
			if f == partner.Sound {
				broken = 5 // TLS 1.1, TLS 1.0, an RSA certificate, two probes: the handshake fails, and nobody is left to say QUIT to
			}
			if conversations == 0 || quits != conversations-broken {
				t.Errorf("%q: %d conversations, %d QUITs", f, conversations, quits)
			}
		})
	}
}

func TestAnAddressIsExaminedOnceAtATimeAndRestsInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", w.good())
		w.zone.WriteString("bank.test MX 10 mx1.clinic.test\nshop.test MX 10 mx1.clinic.test\n")
		start := time.Now()
		var seen int
		err := w.checker(nil).Run(context.Background(), targets("clinic.test", "bank.test", "shop.test"), func(r *check.Report) error {
			seen++
			if !r.Find(check.ForceTLS).Passes() {
				t.Errorf("%s: %+v", r.Target, r.Find(check.ForceTLS))
			}
			return nil
		})
		if took := time.Since(start); err != nil || seen != 3 || took < 2*time.Second {
			t.Errorf("%d targets at one address in %v: %v", seen, took, err)
		}
	})
}

func TestANamedHostIsNotHeldToDeniedNetworksAndADomainIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.deny = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		w.mx("mx1.clinic.test", w.good())
		if v := w.check("clinic.test", nil).Find(check.ForceTLS); v.Reason != policy.MXPrivate {
			t.Errorf("the domain: %q", v.Reason)
		}
		if v := w.check("mx1.clinic.test:25", nil).Find(check.ForceTLS); !v.Passes() {
			t.Errorf("the host: %q %s", v.Reason, v.Text)
		}
		if v := w.check("192.0.2.10", nil).Find(check.ForceTLS); v.Reason != policy.CertNameMismatch {
			t.Errorf("the address has no name to prove: %q", v.Reason)
		}
	})
}

func TestTrialsTellVersionsGroupsAndKindsOfCertificatesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		c := w.tls(pki.Options{})
		old := w.ca.Issue(pki.Options{Names: []string{"mx1.clinic.test"}, Key: pki.RSA2048, NotAfter: time.Now().Add(-time.Hour)})
		c.Certificates = append(c.Certificates, old.TLS)
		c.CurvePreferences = []tls.CurveID{tls.X25519}
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
		r := w.check("clinic.test", func(c *examiner.Config) { c.Trials = true })
		want := map[string]string{"TLSv1.3": "yes", "TLSv1.2": "yes cert-expired", "TLSv1.1": "tls-version", "TLSv1": "tls-version",
			"post-quantum groups": "tls-no-shared-cipher", "classical groups": "yes", "ECDSA certificate": "yes", "RSA certificate": "yes cert-expired",
			"SSLv3": "tls-version", "DHE key exchange": "tls-no-shared-cipher"}
		got := r.Hosts[0].Addresses[0].Trials
		if len(got) != len(want) {
			t.Errorf("%d trials", len(got))
		}
		for _, trial := range got {
			said := string(trial.Reason)
			if trial.Works {
				said = strings.TrimSpace("yes " + said)
			}
			if said != want[trial.Name] {
				t.Errorf("%s: %s (%s), want %s", trial.Name, said, trial.Text, want[trial.Name])
			}
		}
		if find(r, check.ChainsDiffer) == nil {
			t.Errorf("findings: %+v", r.Findings)
		}
	})
}

func TestWhatAHostShowsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		c := w.tls(pki.Options{NotAfter: time.Now().Add(5*24*time.Hour + time.Hour)})
		c.ClientAuth = tls.RequestClientCert
		w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
		r := w.check("clinic.test", nil)
		l := r.Hosts[0].Addresses[0].Look
		if l.Greeting != "220 mx1.clinic.test ESMTP" || strings.Join(l.Offered, ",") != "PIPELINING,8BITMIME,STARTTLS" ||
			strings.Join(l.Inside, ",") != "PIPELINING,8BITMIME" || !l.StartTLS || !l.Asked || l.TLS.Version != "TLSv1.3" ||
			len(l.Chain) != 2 || l.Expected[0] != "mx1.clinic.test" || len(l.Steps) != 5 || l.Reason != "" {
			t.Errorf("%+v", l)
		}
		if !r.DNS.Signed || len(r.DNS.MX) != 1 || r.DNS.MX[0].Host != "mx1.clinic.test" || !r.Hosts[0].Signed {
			t.Errorf("DNS %+v, host %+v", r.DNS, r.Hosts[0])
		}
		if f := find(r, check.ExpirySoon); f == nil || !strings.Contains(f.Text, "in 5 days") {
			t.Errorf("findings: %+v", r.Findings)
		}
	})
}

func TestAHostThatAnswersNobodyCostsOneTryForAllQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.net.Blackhole(w.name("mx1.clinic.test").String())
		start := time.Now()
		r := w.check("clinic.test", nil)
		if took := time.Since(start); took > 31*time.Second || r.Find(check.ForceTLS).Reason != policy.ConnectTimeout {
			t.Errorf("%v: %+v", took, r.Verdicts)
		}
	})
}

func TestARejectingRequirementIsToldAsReturnedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", partner.Behaviour{})
		r := forced
		r.WithoutTLS = policy.WithoutTLSReject
		report := w.check("clinic.test", func(c *examiner.Config) { c.Extra = []check.Question{{Name: "rule x", Requirement: r}} })
		if v := report.Find("rule x"); v.Outcome != check.Failed || v.Reason != policy.StartTLSNotOffered {
			t.Errorf("%+v", v)
		}
		if v := report.Find(check.ForceTLS); v.Outcome != check.Deferred {
			t.Errorf("%+v", v)
		}
	})
}

func TestNothingAPeerSaysReachesATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.script("mx1.clinic.test", "220 \x1b[2J\u202eevil \x07", "250-mx\r\n250-X\x1b[31mY\r\n250 STARTTLS", "454 \x1b]0;title\x07 no")
		r := w.check("clinic.test", nil)
		if a := r.Hosts[0].Addresses[0]; a.Look == nil || a.Look.Greeting == "" || len(a.Look.Offered) != 2 {
			t.Fatalf("%+v", a)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, shown := range []string{string(text), check.Letter(r, "gw.example.test")} {
			for _, bad := range []string{"\x1b", "\\u001b", "\x07", "\\u0007", "\u202e", "\\u202e\""} {
				if shown == "" || strings.Contains(shown, bad) {
					t.Errorf("%q is shown as it came:\n%s", bad, shown)
				}
			}
		}
	})
}

// A host whose name is proven was not named by anybody for that.
func TestWhoNamesTheHostsIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ip := w.mx("mx1.clinic.test", w.good())
		fmt.Fprintf(&w.zone, "bare.test A %s\n", ip)
		named := func(c *examiner.Config) {
			c.Route.Routes = []route.Route{{Match: []string{"clinic.test"}, To: []route.HostPort{{Host: mail.MustDomain("mx1.clinic.test")}}},
				{Match: []string{"lost.test"}, To: []route.HostPort{{Host: mail.MustDomain("gone.test")}}}}
		}
		for _, c := range []struct {
			target string
			change func(*examiner.Config)
			named  bool
		}{{"clinic.test", nil, false}, {"bare.test", nil, false}, {"clinic.test", named, true}, {"lost.test", named, true}, {"mx1.clinic.test:25", nil, false}} {
			r := w.check(c.target, c.change)
			if r.Named != c.named || c.target == "bare.test" && !r.Hosts[0].Proven {
				t.Errorf("%s: named %v, hosts %+v", c.target, r.Named, r.Hosts)
			}
		}
	})
}
