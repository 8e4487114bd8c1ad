package acceptance

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

func TestTheSecondHostIsUsedWhenTheFirstFailsItsVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Record("clinic.test MX 10 mx1.clinic.test", "clinic.test MX 20 mx2.clinic.test")
	first := w.Partner("mx1.clinic.test", w.Expired("mx1.clinic.test"))
	w.Partner("mx2.clinic.test", w.Good("mx2.clinic.test"))
	w.Record("harbour.test MX 10 mx1.harbour.test", "harbour.test MX 20 mx2.harbour.test")
	w.Partner("mx1.harbour.test", partner.Behaviour{})
	w.Partner("mx2.harbour.test", w.Expired("mx2.harbour.test"))
	w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "30s"`))
	w.Send("anna@home.test", "second door", "dr@clinic.test")
	w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"mx": "mx2.clinic.test", "reached": "authenticated"})
	if lines := harness.Forbidden(first, false); len(lines) > 0 {
		t.Errorf("the first host heard %q", lines)
	}
	// Without a rule any TLS at any host comes before plaintext.
	w.Send("anna@home.test", "second quay", "pier@harbour.test")
	w.Await("pier@harbour.test", harness.In("delivered")).Want(t, map[string]string{"mx": "mx2.harbour.test", "reached": "encrypted"})
}

func TestOfTwoAddressesBehindOneNameTheGoodOneIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := w.Domain("clinic.test", w.Expired("mx.clinic.test"))
	ip := harness.NewIP()
	good, err := partner.Listen("mx.clinic.test", fmt.Sprintf("%s:%d", ip, w.Port), w.Good("mx.clinic.test"))
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	w.Record("mx.clinic.test A " + ip)
	w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "30s"`))
	for i := range 4 {
		to := fmt.Sprintf("dr%d@clinic.test", i)
		w.Send("anna@home.test", "the good address", to)
		if got := w.Await(to, harness.In("delivered")); got.IP != ip || got.Reached != "authenticated" {
			t.Errorf("%s", got.Raw)
		}
	}
	if lines := harness.Forbidden(bad, false); len(lines) > 0 {
		t.Errorf("the bad address heard %q", lines)
	}
}

func TestNoDetourLeadsAroundARule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Expired("mx.clinic.test"))
	smart := w.Partner("smart.hosting.test", partner.Behaviour{})
	w.More = append(w.More, fmt.Sprintf("[[route]]\nmatch = [\"*.routed.test\"]\nto = [\"smart.hosting.test:%d\"]\n", w.Port))
	// A name that DNS, which whoever is in the way may forge, points elsewhere: with names = "domain" that does not
	// help.
	w.Record("lured.test MX 10 mx.elsewhere.test")
	lured := w.Partner("mx.elsewhere.test", w.Good("mx.elsewhere.test"))
	w.Record("alias.test CNAME clinic.test")
	w.Start(harness.Force("all", `"clinic.test", "*.routed.test", "alias.test"`, `defer = "20s"`) +
		harness.Force("bydomain", `"lured.test"`, `names = "domain"`, `defer = "20s"`))
	w.Send("anna@home.test", "detour", "a@dept.routed.test")
	w.Send("anna@home.test", "detour", "a@lured.test")
	w.Send("anna@home.test", "detour", "a@alias.test")
	w.Await("a@dept.routed.test", harness.Waits("starttls-not-offered"))
	w.Await("a@lured.test", harness.Waits("cert-name-mismatch"))
	w.Await("a@alias.test", harness.Waits("cert-expired"))
	// A client that may relay names the route itself.
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Say("MAIL FROM:<anna@home.test>", "250")
	c.Say("RCPT TO:<@smart.hosting.test:dr@clinic.test>", "5")
	for _, p := range []*partner.Partner{smart, lured, w.Hosts["mx.clinic.test"]} {
		if lines := harness.Forbidden(p, false); len(lines) > 0 {
			t.Errorf("heard %q", lines)
		}
	}
}

func TestWhatDNSAnswersDecidesWhatBecomesOfMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["delivery.deny_networks"] = `["127.255.0.0/16"]`
	w.Record("nullmx.test MX 0 .", "broken.test servfail", "nohost.test MX 10 mx.nohost.test", "mx.nohost.test TXT \"no address\"",
		"private.test MX 10 mx.private.test", "mx.private.test A 127.255.0.1",
		"two.test MX 10 gone.two.test", "two.test MX 20 mx.two.test", "loop.test MX 10 gw.home.test")
	host, _, err := net.SplitHostPort(w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	w.Record("gw.home.test A " + host)
	w.Partner("mx.two.test", w.Good("mx.two.test"))
	direct := w.Partner("direct.test", w.Good("direct.test")) // no MX: the address itself
	w.Start("")
	for domain, c := range map[string]struct{ state, reason string }{
		"nullmx.test": {"failed", "dns-null-mx"}, "nowhere.test": {"failed", "dns-nxdomain"}, "broken.test": {"queued", "dns-servfail"},
		"nohost.test": {"queued", "dns-no-address"}, "private.test": {"queued", "mx-private-address"}, "two.test": {"delivered", ""},
		"direct.test": {"delivered", ""}, "loop.test": {"failed", "mx-loop"},
	} {
		w.Send("anna@home.test", "by DNS", "a@"+domain)
		got := w.Await("a@"+domain, func(tr harness.Trace) bool {
			return tr.State == c.state && tr.Reason == c.reason || tr.State == "failed"
		})
		got.Want(t, map[string]string{"state": c.state, "reason": c.reason})
	}
	if len(direct.Messages()) != 1 {
		t.Error("the domain without MX got no mail at its address")
	}
}

func TestIPv6AndIPv4AddressesAreTried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	six, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", w.Port))
	if err != nil {
		t.Skipf("no IPv6 on the loopback: %v", err)
	}
	p := partner.Serve("mx.six.test", six, w.Good("mx.six.test"))
	defer p.Close()
	w.Record("six.test MX 10 mx.six.test", "mx.six.test AAAA ::1")
	w.Domain("four.test", w.Good("mx.four.test"))
	w.Record("mx.four.test AAAA ::2") // where nobody listens
	w.Start(harness.Force("both", `"six.test", "four.test"`, `defer = "30s"`))
	w.Send("anna@home.test", "over six", "a@six.test")
	w.Send("anna@home.test", "over four", "a@four.test")
	if got := w.Await("a@six.test", harness.In("delivered")); got.IP != "::1" || got.Reached != "authenticated" {
		t.Errorf("%s", got.Raw)
	}
	w.Await("a@four.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
}

func TestASessionTicketRaisesNoTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shown := w.Good("mx.clinic.test")
	var current atomic.Pointer[tls.Certificate]
	current.Store(&shown.TLS.Certificates[0])
	bad := w.Expired("mx.clinic.test").TLS.Certificates[0]
	// One configuration for the whole test, so that its tickets stay good when the certificate is another.
	clinic := w.Domain("clinic.test", partner.Behaviour{TLS: &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }}})
	w.Settings["delivery.idle_time"] = "0"
	w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "30s"`))
	current.Store(&bad)
	w.Send("anna@home.test", "first", "dr1@clinic.test")
	w.Await("dr1@clinic.test", harness.Waits("cert-expired"))
	w.Postern("queue", "retry")
	time.Sleep(500 * time.Millisecond)
	w.Await("dr1@clinic.test", harness.Waits("cert-expired"))
	if lines := harness.Forbidden(clinic, false); len(lines) > 0 {
		t.Fatalf("heard %q", lines)
	}
	current.Store(&shown.TLS.Certificates[0])
	w.Postern("queue", "retry")
	w.Await("dr1@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
}
