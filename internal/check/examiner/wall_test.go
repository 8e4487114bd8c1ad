package examiner_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/attempt"
	"postern/internal/check"
	"postern/internal/check/examiner"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/sts"
	"postern/internal/smtp/smtpclient"
)

// said is a deliver.Revocation that always gives the same answer.
type said policy.RevocationAnswer

func (s said) Check(context.Context, [][]*x509.Certificate, []byte) policy.RevocationAnswer {
	return policy.RevocationAnswer(s)
}

// fault is one stone of the wall: a world with one thing wrong, and the reason that forced mail gets.
type fault struct {
	name   string
	reason policy.Reason
	build  func(w *world)
	// demand, when set, is the requirement instead of that of an ordinary Force TLS rule.
	demand *policy.Requirement
}

var forced = policy.Combine(policy.Requirement{Channel: policy.Authenticated, Revocation: policy.RevocationCheck})

// cert is a fault of the certificate alone.
func cert(o pki.Options) func(*world) {
	return func(w *world) { w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.tls(o)}) }
}

// unsigned is a good server whose domain is not signed.
func unsigned(w *world) {
	cert(pki.Options{})(w)
	w.zone.WriteString("!clinic.test TXT \"unsigned\"\n")
}

// pins is a book that never changes.
type pins []mxpins.Pin

func (p pins) Pins(context.Context, string) ([]mxpins.Pin, error) { return p, nil }

func ill(f partner.Fault) func(*world) {
	return func(w *world) { w.mx("mx1.clinic.test", partner.Behaviour{TLS: w.tls(pki.Options{}), Fault: f}) }
}

func records(text string) func(*world) { return func(w *world) { w.zone.WriteString(text) } }

func demanding(change func(*policy.Requirement)) *policy.Requirement {
	r := forced
	r.Peer = slices.Clone(r.Peer)
	change(&r)
	return &r
}

// wall lists every reason of design.md §5 that finding, reaching and proving a server can end in, each at least once.
func wall() []fault {
	day := 24 * time.Hour
	now := time.Now()
	return []fault{
		{name: "all is well", reason: "", build: cert(pki.Options{})},
		{name: "all is well at the second MX", reason: "", build: func(w *world) {
			cert(pki.Options{SelfSigned: true})(w)
			w.mx("mx2.clinic.test", partner.Behaviour{TLS: w.tls(pki.Options{Names: []string{"mx2.clinic.test"}})})
		}},

		{name: "no such domain", reason: policy.DNSNXDomain, build: records("other.test A 192.0.2.9\n")},
		{name: "the name servers fail", reason: policy.DNSServfail, build: records("clinic.test servfail\n")},
		{name: "the name servers are silent", reason: policy.DNSTimeout, build: records("clinic.test timeout\n")},
		{name: "no mail wanted", reason: policy.DNSNullMX, build: records("clinic.test MX 0 .\n")},
		{name: "an MX without an address", reason: policy.DNSNoAddress, build: records("clinic.test MX 10 mx1.clinic.test\n")},
		{name: "signatures that do not verify", reason: policy.DNSSECBogus, build: records("clinic.test bogus\n")},
		{name: "an MX that is ourselves", reason: policy.MXLoop, build: records("clinic.test MX 10 gw.example.test\ngw.example.test A 192.0.2.1\n")},
		{name: "an MX in a denied network", reason: policy.MXPrivate, build: func(w *world) {
			w.deny = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			w.zone.WriteString("clinic.test MX 10 mx1.clinic.test\nmx1.clinic.test A 10.0.0.1\n")
		}},
		{name: "a proven name is asked for", reason: policy.MXUnproven, build: unsigned,
			demand: demanding(func(r *policy.Requirement) { r.MX = policy.MXProven })},
		{name: "a proven name is asked for, and DNS is signed", reason: "", build: cert(pki.Options{}),
			demand: demanding(func(r *policy.Requirement) { r.MX = policy.MXProven })},
		{name: "a name that the rule does not know", reason: policy.MXChanged, build: func(w *world) {
			unsigned(w)
			w.pins = pins{{Domain: "clinic.test", Rule: "clinic", Name: "provider.test"}}
		}, demand: demanding(func(r *policy.Requirement) { r.MX, r.PinnedBy = policy.MXPinned, []string{"clinic"} })},
		{name: "a name that the rule knows", reason: "", build: func(w *world) {
			unsigned(w)
			w.pins = pins{{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test"}}
		}, demand: demanding(func(r *policy.Requirement) { r.MX, r.PinnedBy = policy.MXPinned, []string{"clinic"} })},

		{name: "a TLSA record of another key", reason: policy.DANEMismatch, build: func(w *world) {
			w.mx("mx1.clinic.test", w.good())
			w.tlsa("3 1 1 " + strings.Repeat("ab", 32))
		}},
		{name: "TLSA records of which none can be used, beside a good certificate", reason: "", build: func(w *world) {
			w.mx("mx1.clinic.test", w.good())
			w.tlsa("1 1 1 " + strings.Repeat("ab", 32))
		}},
		{name: "a rule asks for DANE, and there is none", reason: policy.DANEUnusable, build: cert(pki.Options{}),
			demand: demanding(func(r *policy.Requirement) { r.Peer = []policy.PeerDemand{{By: policy.ByTLSA}} })},
		{name: "TLSA records that cannot be looked up", reason: policy.DNSServfail, build: func(w *world) {
			w.mx("mx1.clinic.test", w.good())
			w.zone.WriteString("_25._tcp.mx1.clinic.test servfail\n")
		}},
		{name: "an enforced policy that names other hosts", reason: policy.STSMXMismatch, build: func(w *world) {
			w.mx("mx1.clinic.test", w.good())
			w.policy = sts.Policy{Mode: sts.Enforce, MX: []string{"mx.other.test"}, MaxAge: time.Hour}
		}},

		{name: "nobody listens", reason: policy.ConnectRefused, build: func(w *world) { w.name("mx1.clinic.test") }},
		{name: "nobody answers", reason: policy.ConnectTimeout, build: func(w *world) { w.net.Blackhole(w.name("mx1.clinic.test").String()) }},
		{name: "no way there", reason: policy.ConnectUnreach, build: func(w *world) { w.noWay[w.name("mx1.clinic.test").String()] = true }},
		{name: "no greeting", reason: policy.GreetingTimeout, build: func(w *world) { w.script("mx1.clinic.test", "...") }},
		{name: "busy", reason: policy.GreetingRefused, build: ill(partner.Busy)},
		{name: "EHLO refused", reason: policy.EHLORefused, build: func(w *world) {
			w.mx("mx1.clinic.test", partner.Behaviour{Replies: map[string]string{"EHLO": "550 no", "HELO": "550 no"}})
		}},
		{name: "closed before EHLO is answered", reason: policy.RemoteClosed, build: func(w *world) { w.script("mx1.clinic.test", "220 hi") }},
		{name: "silent after EHLO", reason: policy.RemoteTimeout, build: func(w *world) { w.script("mx1.clinic.test", "220 hi", "...") }},

		{name: "no STARTTLS", reason: policy.StartTLSNotOffered, build: ill(partner.NoTLS)},
		{name: "STARTTLS masked", reason: policy.StartTLSStripped, build: ill(partner.Masked)},
		{name: "STARTTLS refused", reason: policy.StartTLSRefused, build: ill(partner.RefusesTLS)},
		{name: "text instead of TLS", reason: policy.TLSHandshake, build: ill(partner.BreaksTLS)},
		{name: "closed instead of TLS", reason: policy.TLSClosed, build: ill(partner.ResetsTLS)},
		{name: "silence instead of TLS", reason: policy.TLSTimeout, build: ill(partner.HangsTLS)},
		{name: "a client certificate is insisted on", reason: policy.TLSAlert, build: func(w *world) {
			c := w.tls(pki.Options{})
			c.ClientAuth = tls.RequireAnyClientCert
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
		}},
		{name: "TLS 1.0 only", reason: policy.TLSVersion, build: func(w *world) {
			c := w.tls(pki.Options{})
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
		}},
		{name: "RSA key exchange only", reason: policy.TLSNoSharedCipher, build: func(w *world) {
			c := w.tls(pki.Options{Key: pki.RSA2048, KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature})
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: c})
		}},

		{name: "expired", reason: policy.CertExpired, build: cert(pki.Options{NotAfter: now.Add(-day)})},
		{name: "an expired intermediate", reason: policy.CertExpired, build: cert(pki.Options{
			Intermediates: []pki.Intermediate{{NotAfter: now.Add(-day)}}})},
		{name: "not yet valid", reason: policy.CertNotYetValid, build: cert(pki.Options{NotBefore: now.Add(day)})},
		{name: "self-signed", reason: policy.CertSelfSigned, build: cert(pki.Options{SelfSigned: true})},
		{name: "an unknown root", reason: policy.CertUntrusted, build: func(w *world) {
			c := pki.New(time.Now(), "Stranger").Issue(pki.Options{Names: []string{"mx1.clinic.test"}, SendRoot: true})
			w.mx("mx1.clinic.test", partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{c.TLS}}})
		}},
		{name: "the intermediate is missing", reason: policy.CertIncompleteChain, build: cert(pki.Options{OmitIntermediates: true})},
		{name: "another name", reason: policy.CertNameMismatch, build: cert(pki.Options{Names: []string{"mx9.clinic.test"}})},
		{name: "a common name only", reason: policy.CertNameMismatch, build: cert(pki.Options{NoSAN: true})},
		{name: "a wildcard for two labels", reason: policy.CertNameMismatch, build: cert(pki.Options{Names: []string{"*.test"}})},
		{name: "a short RSA key", reason: policy.CertWeak, build: cert(pki.Options{Key: pki.RSA1024})},
		{name: "a name constraint", reason: policy.CertNameConstraint, build: cert(pki.Options{
			Intermediates: []pki.Intermediate{{Permitted: []string{"other.test"}}}})},
		{name: "no server certificate", reason: policy.CertUsage, build: cert(pki.Options{EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})},
		{name: "an intermediate that is no CA", reason: policy.CertUsage, build: cert(pki.Options{Intermediates: []pki.Intermediate{{NotCA: true}}})},
		{name: "another key than the pinned", reason: policy.PinMismatch, build: cert(pki.Options{}),
			demand: demanding(func(r *policy.Requirement) { r.Peer[0].Pins = []string{"sha256:" + strings.Repeat("0", 64)} })},
		{name: "revoked", reason: policy.CertRevoked, build: func(w *world) {
			w.revocation = said{Status: policy.Revoked, Source: "crl"}
			cert(pki.Options{})(w)
		}},
		{name: "nobody knows whether it is revoked", reason: policy.RevocationUnknown, build: cert(pki.Options{}),
			demand: demanding(func(r *policy.Requirement) { r.Revocation = policy.RevocationRequire })},
	}
}

// deliverOnce is what the gateway does with one message: a plan, a climb, a transfer. It shares nothing with check but
// the world.
func deliverOnce(w *world, r policy.Requirement) (a *attempt.Attempt, sent bool) {
	table, err := route.New(w.routes())
	if err != nil {
		w.t.Fatal(err)
	}
	plan, problem := table.Plan(context.Background(), mail.MustDomain("clinic.test"))
	if problem != nil {
		return &attempt.Attempt{Reason: problem.Reason}, false
	}
	c := deliver.New(w.delivering()).Open(context.Background(), "site", plan, r, nil)
	if c.Channel == nil {
		return c.Attempt, false
	}
	defer c.Channel.Close()
	result, err := c.Channel.Send(context.Background(), deliver.Terms{Requirement: r}, &smtpclient.Transaction{
		Envelope:   mail.Envelope{From: mail.MustAddress("a@example.test")},
		Recipients: []mail.Recipient{{Address: mail.MustAddress("b@clinic.test")}},
		Body:       bytes.NewReader([]byte("Subject: x\r\n\r\nhello\r\n")),
	})
	if err != nil {
		w.t.Errorf("Send: %v", err)
		return c.Attempt, false
	}
	return c.Attempt, result.Recipients[0].Outcome == smtpclient.Delivered
}

func TestCheckNeverDisagreesWithDelivery(t *testing.T) {
	for _, f := range wall() {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := *stone(f.name) // its dates are those of the bubble
				w := newWorld(t)
				defer w.close()
				f.build(w)
				demand := forced
				if f.demand != nil {
					demand = *f.demand
				}
				r := w.check("clinic.test", func(c *examiner.Config) { c.Forced = demand })
				if heard := w.spoken(); len(heard) > 0 {
					t.Fatalf("check spoke of mail: %q", heard)
				}
				for question, requirement := range map[string]policy.Requirement{check.Opportunistic: {}, check.ForceTLS: demand} {
					a, sent := deliverOnce(w, requirement)
					v := r.Find(question)
					if v.Reason != a.Reason || v.Passes() != sent {
						t.Errorf("%s: check says %s %q, delivery %v %q", question, v.Outcome, v.Reason, sent, a.Reason)
					}
					if used := a.Used(); used != nil && v.Reached != used.Reached.String() {
						t.Errorf("%s: check says %s, delivery reached %s", question, v.Reached, used.Reached)
					}
					if question == check.ForceTLS && v.Reason != f.reason {
						t.Errorf("forced mail: %q (%s), want %q", v.Reason, v.Text, f.reason)
					}
				}
				told(t, r)
			})
		})
	}
}

// stone finds a fault by its name.
func stone(name string) *fault {
	all := wall()
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// told looks for what every verdict must tell.
func told(t *testing.T, r *check.Report) {
	t.Helper()
	for _, v := range r.Verdicts {
		if v.Reason == "" {
			continue
		}
		info := v.Reason.Info()
		asker, hints := map[bool]string{true: policy.ByRule}[v.Question == check.ForceTLS], []string{}
		for _, kind := range []string{"", policy.PublishedDANE, policy.PublishedSTS} {
			hints = append(hints, info.HintFor(kind, asker))
		}
		if v.Text == "" || v.Who != info.Who || !slices.Contains(hints, v.Hint) || v.TLSRPT != info.TLSRPT {
			t.Errorf("%s: told %+v", v.Question, v)
		}
		if want := map[check.Outcome]string{check.Deferred: "4." + info.Status, check.Failed: "5." + info.Status}[v.Outcome]; v.Status != want {
			t.Errorf("%s: %s with status %q, want %q", v.Question, v.Outcome, v.Status, want)
		}
	}
}

// notProduced are the reasons that nothing in this release can end in.
var notProduced = map[policy.Reason]string{}

// afterMail are the reasons that need MAIL to be said, which check never does, with the test that produces each.
var afterMail = map[policy.Reason]struct{ file, words string }{
	policy.Remote4xx:         {"../../../test/acceptance/", "remote-4xx"},
	policy.Remote5xx:         {"../../../test/acceptance/", "remote-5xx"},
	policy.PolicyUnavailable: {"", "TestAChannelOpenedForLessIsNotUsedForMore"},
	// That a policy cannot be had is noted, and mail goes.
	policy.STSPolicyUnavailable: {"../../gateway/route/", "policy.STSPolicyUnavailable"},
	policy.ExpiredInQueue:       {"../../gateway/dispatch/", "policy.ExpiredInQueue"},
	policy.RequireTLSNotOffered: {"../../gateway/dispatch/", "policy.RequireTLSNotOffered"}, // MAIL demands it, which check never says
}

func TestEveryReasonIsProducedByAScenarioOrKnownNotToBe(t *testing.T) {
	produced := map[policy.Reason]bool{}
	for _, f := range wall() {
		produced[f.reason] = true
	}
	for _, info := range policy.Reasons() {
		elsewhere, later := afterMail[info.Reason]
		_, never := notProduced[info.Reason]
		switch n := count(produced[info.Reason], later, never); {
		case n == 0:
			t.Errorf("%s: no scenario produces it, and no list says why", info.Reason)
		case n > 1:
			t.Errorf("%s: it is produced here and yet on another list", info.Reason)
		case later && !mentioned(t, elsewhere.file, elsewhere.words):
			t.Errorf("%s: no test under %s speaks of it", info.Reason, elsewhere.file)
		}
	}
	for reason := range notProduced {
		if users := usersOf(t, reason); len(users) > 0 {
			t.Errorf("%s is said to be produced by nothing, and %v uses it", reason, users)
		}
	}
}

func count(list ...bool) (n int) {
	for _, yes := range list {
		if yes {
			n++
		}
	}
	return n
}

func TestAChannelOpenedForLessIsNotUsedForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.mx("mx1.clinic.test", w.good())
		table, err := route.New(w.routes())
		if err != nil {
			t.Fatal(err)
		}
		plan, problem := table.Plan(context.Background(), mail.MustDomain("clinic.test"))
		if problem != nil {
			t.Fatal(problem)
		}
		c := deliver.New(w.delivering()).Open(context.Background(), "site", plan, policy.Requirement{}, nil)
		defer c.Channel.Close()
		_, err = c.Channel.Send(context.Background(), deliver.Terms{Requirement: forced}, nil)
		if lapsed, ok := errors.AsType[*deliver.Lapsed](err); !ok || lapsed.Shortfalls[0].Reason != policy.PolicyUnavailable {
			t.Errorf("Send: %v", err)
		}
	})
}

// mentioned reports whether a test in dir has the words.
func mentioned(t *testing.T, dir, words string) bool {
	t.Helper()
	entries, err := os.ReadDir("./" + dir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		text, err := os.ReadFile(dir + e.Name())
		return strings.HasSuffix(e.Name(), "_test.go") && err == nil && bytes.Contains(text, []byte(words))
	})
}

// usersOf lists the workflows whose code (not their tests) names a reason as the cause of something: a try's, a
// verdict's or a problem's.
func usersOf(t *testing.T, reason policy.Reason) (out []string) {
	t.Helper()
	names := map[policy.Reason]string{policy.RequireTLSNotOffered: "RequireTLSNotOffered"}
	for _, dir := range []string{"../../gateway/deliver/", "../../gateway/dispatch/", "../../gateway/route/", "../../policy/certcheck/", "../../policy/"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			text, err := os.ReadFile(dir + e.Name())
			if err != nil || strings.HasSuffix(e.Name(), "_test.go") || e.Name() == "info.go" || e.Name() == "reason.go" {
				continue
			}
			if bytes.Contains(text, []byte(names[reason])) {
				out = append(out, dir+e.Name())
			}
		}
	}
	return out
}
