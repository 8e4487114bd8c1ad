package acceptance

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/lab/partner"
)

func TestTheSecondHostIsUsedWhenTheFirstFailsItsVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.record("clinic.test MX 10 mx1.clinic.test", "clinic.test MX 20 mx2.clinic.test")
	first := w.partner("mx1.clinic.test", w.expired("mx1.clinic.test"))
	w.partner("mx2.clinic.test", w.good("mx2.clinic.test"))
	w.record("harbour.test MX 10 mx1.harbour.test", "harbour.test MX 20 mx2.harbour.test")
	w.partner("mx1.harbour.test", partner.Behaviour{})
	w.partner("mx2.harbour.test", w.expired("mx2.harbour.test"))
	w.start(force("clinic", `"clinic.test"`, `defer = "30s"`))
	w.send("anna@home.test", "second door", "dr@clinic.test")
	w.await("dr@clinic.test", in("delivered")).want(t, map[string]string{"mx": "mx2.clinic.test", "reached": "authenticated"})
	if lines := forbidden(first, false); len(lines) > 0 {
		t.Errorf("the first host heard %q", lines)
	}
	// Without a rule any TLS at any host comes before plaintext.
	w.send("anna@home.test", "second quay", "pier@harbour.test")
	w.await("pier@harbour.test", in("delivered")).want(t, map[string]string{"mx": "mx2.harbour.test", "reached": "encrypted"})
}

func TestOfTwoAddressesBehindOneNameTheGoodOneIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := w.domain("clinic.test", w.expired("mx.clinic.test"))
	ip := newIP()
	good, err := partner.Listen("mx.clinic.test", fmt.Sprintf("%s:%d", ip, w.port), w.good("mx.clinic.test"))
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	w.record("mx.clinic.test A " + ip)
	w.start(force("clinic", `"clinic.test"`, `defer = "30s"`))
	for i := range 4 {
		to := fmt.Sprintf("dr%d@clinic.test", i)
		w.send("anna@home.test", "the good address", to)
		if got := w.await(to, in("delivered")); got.IP != ip || got.Reached != "authenticated" {
			t.Errorf("%s", got.raw)
		}
	}
	if lines := forbidden(bad, false); len(lines) > 0 {
		t.Errorf("the bad address heard %q", lines)
	}
}

func TestNoDetourLeadsAroundARule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.domain("clinic.test", w.expired("mx.clinic.test"))
	smart := w.partner("smart.hosting.test", partner.Behaviour{})
	w.more = append(w.more, fmt.Sprintf("[[route]]\nmatch = [\"*.routed.test\"]\nto = [\"smart.hosting.test:%d\"]\n", w.port))
	// A name that DNS, which whoever is in the way may forge, points elsewhere: with names = "domain" that does not help.
	w.record("lured.test MX 10 mx.elsewhere.test")
	lured := w.partner("mx.elsewhere.test", w.good("mx.elsewhere.test"))
	w.record("alias.test CNAME clinic.test")
	w.start(force("all", `"clinic.test", "*.routed.test", "alias.test"`, `defer = "20s"`) +
		force("bydomain", `"lured.test"`, `names = "domain"`, `defer = "20s"`))
	w.send("anna@home.test", "detour", "a@dept.routed.test")
	w.send("anna@home.test", "detour", "a@lured.test")
	w.send("anna@home.test", "detour", "a@alias.test")
	w.await("a@dept.routed.test", waits("starttls-not-offered"))
	w.await("a@lured.test", waits("cert-name-mismatch"))
	w.await("a@alias.test", waits("cert-expired"))
	// A client that may relay names the route itself.
	c := w.connect("")
	c.say("EHLO mail.home.test", "250")
	c.say("MAIL FROM:<anna@home.test>", "250")
	c.say("RCPT TO:<@smart.hosting.test:dr@clinic.test>", "5")
	for _, p := range []*partner.Partner{smart, lured, w.hosts["mx.clinic.test"]} {
		if lines := forbidden(p, false); len(lines) > 0 {
			t.Errorf("heard %q", lines)
		}
	}
}

func TestWhatDNSAnswersDecidesWhatBecomesOfMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings["delivery.deny_networks"] = `["127.255.0.0/16"]`
	w.record("nullmx.test MX 0 .", "broken.test servfail", "nohost.test MX 10 mx.nohost.test", "mx.nohost.test TXT \"no address\"",
		"private.test MX 10 mx.private.test", "mx.private.test A 127.255.0.1",
		"two.test MX 10 gone.two.test", "two.test MX 20 mx.two.test", "loop.test MX 10 gw.home.test")
	host, _, err := net.SplitHostPort(w.addr)
	if err != nil {
		t.Fatal(err)
	}
	w.record("gw.home.test A " + host)
	w.partner("mx.two.test", w.good("mx.two.test"))
	direct := w.partner("direct.test", w.good("direct.test")) // no MX: the address itself
	w.start("")
	for domain, c := range map[string]struct{ state, reason string }{
		"nullmx.test": {"failed", "dns-null-mx"}, "nowhere.test": {"failed", "dns-nxdomain"}, "broken.test": {"queued", "dns-servfail"},
		"nohost.test": {"queued", "dns-no-address"}, "private.test": {"queued", "mx-private-address"}, "two.test": {"delivered", ""},
		"direct.test": {"delivered", ""}, "loop.test": {"failed", "mx-loop"},
	} {
		w.send("anna@home.test", "by DNS", "a@"+domain)
		got := w.await("a@"+domain, func(tr trace) bool { return tr.State == c.state && tr.Reason == c.reason || tr.State == "failed" })
		got.want(t, map[string]string{"state": c.state, "reason": c.reason})
	}
	if len(direct.Messages()) != 1 {
		t.Error("the domain without MX got no mail at its address")
	}
}

func TestIPv6AndIPv4AddressesAreTried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	six, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", w.port))
	if err != nil {
		t.Skipf("no IPv6 on the loopback: %v", err)
	}
	p := partner.Serve("mx.six.test", six, w.good("mx.six.test"))
	defer p.Close()
	w.record("six.test MX 10 mx.six.test", "mx.six.test AAAA ::1")
	w.domain("four.test", w.good("mx.four.test"))
	w.record("mx.four.test AAAA ::2") // where nobody listens
	w.start(force("both", `"six.test", "four.test"`, `defer = "30s"`))
	w.send("anna@home.test", "over six", "a@six.test")
	w.send("anna@home.test", "over four", "a@four.test")
	if got := w.await("a@six.test", in("delivered")); got.IP != "::1" || got.Reached != "authenticated" {
		t.Errorf("%s", got.raw)
	}
	w.await("a@four.test", in("delivered")).want(t, map[string]string{"reached": "authenticated"})
}

func TestASessionTicketRaisesNoTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shown := w.good("mx.clinic.test")
	var current atomic.Pointer[tls.Certificate]
	current.Store(&shown.TLS.Certificates[0])
	bad := w.expired("mx.clinic.test").TLS.Certificates[0]
	// One configuration for the whole test, so that its tickets stay good when the certificate is another.
	clinic := w.domain("clinic.test", partner.Behaviour{TLS: &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }}})
	w.settings["delivery.idle_time"] = "0"
	w.start(force("clinic", `"clinic.test"`, `defer = "30s"`))
	current.Store(&bad)
	w.send("anna@home.test", "first", "dr1@clinic.test")
	w.await("dr1@clinic.test", waits("cert-expired"))
	w.postern("queue", "retry")
	time.Sleep(500 * time.Millisecond)
	w.await("dr1@clinic.test", waits("cert-expired"))
	if lines := forbidden(clinic, false); len(lines) > 0 {
		t.Fatalf("heard %q", lines)
	}
	current.Store(&shown.TLS.Certificates[0])
	w.postern("queue", "retry")
	w.await("dr1@clinic.test", in("delivered")).want(t, map[string]string{"reached": "authenticated"})
}
