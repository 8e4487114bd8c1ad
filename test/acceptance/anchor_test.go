package acceptance

import (
	"fmt"
	"net"
	"testing"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
	"postern/test/peers"
)

// anchorZone is a signed domain with one host.
func anchorZone(domain, ip string, port int, cert *pki.Certificate) peers.SignedZone {
	return peers.SignedZone{Name: domain, Records: fmt.Sprintf("%[1]s. MX 10 mx.%[1]s.\nmx.%[1]s. A %[2]s\n", domain, ip) +
		peers.TLSA("mx."+domain, port, 3, 1, 1, cert.Leaf)}
}

// The resolver loses its trust anchor while the gateway runs. With a wrong one no answer can be believed, and mail
// waits: not a word is said to a host that cannot be proven, though the same host was proven a moment before. With none
// every answer is one of DNS that is not signed, which is what a domain without DANE looks like (RFC 7672 §2.1.3):
// ordinary mail goes as there, as Postfix has it too, since the resolver is the one witness there is. A rule that asks
// for DANE holds all the same: proof is not there, and mail waits.
func TestTheResolverLosesItsTrustAnchor(t *testing.T) {
	peers.NeedRoot(t)
	t.Parallel()
	w := newWorld(t)
	w.Port = peers.FreePort(t, "127.0.0.1")
	servers := map[string]*partner.Partner{}
	var zones []peers.SignedZone
	for _, domain := range []string{"good.test", "mismatch.test", "forced.test"} {
		cert := w.CA.Issue(pki.Options{Names: []string{"mx." + domain}, SelfSigned: true})
		servers[domain] = w.Partner("mx."+domain, serving(cert))
		named := cert
		if domain == "mismatch.test" {
			named = w.CA.Issue(pki.Options{Names: []string{"another.test"}})
		}
		zones = append(zones, anchorZone(domain, servers[domain].Addr().(*net.TCPAddr).IP.String(), w.Port, named))
	}
	dns := peers.NewSignedDNS(t, zones...)
	w.Settings["dns.servers"] = fmt.Sprintf("[%q]", dns.Resolver)
	w.Settings["delivery.lifetime"] = `"30m"`
	w.Settings["delivery.idle_time"] = "0"
	w.Start(harness.Force("forced", `"forced.test"`, `proof = "dane"`))
	for _, domain := range []string{"good.test", "forced.test"} {
		w.Send("anna@home.test", "before", "a@"+domain)
		w.Await("a@"+domain, harness.In("delivered")).Want(t, map[string]string{"proved_by": "dane-ee", "policy": "dane"})
	}
	w.Send("anna@home.test", "mismatch", "a@mismatch.test")
	w.Await("a@mismatch.test", harness.Waits("dane-mismatch"))

	dns.Anchor(peers.WrongAnchor)
	for _, domain := range []string{"good.test", "forced.test"} {
		w.Send("anna@home.test", "bogus", "b@"+domain)
		w.Await("b@"+domain, harness.Waits("dnssec-bogus"))
	}
	w.Await("a@mismatch.test", harness.Waits("dnssec-bogus"))
	for domain, server := range servers {
		if n := len(harness.Bodies(server, "bogus")); n > 0 {
			t.Errorf("%s got %d messages that nobody could prove", domain, n)
		}
	}
	if said := harness.Forbidden(servers["mismatch.test"], false); len(said) > 0 {
		t.Errorf("mail was spoken of: %q", said)
	}

	dns.Anchor("") // as if nothing had been
	for _, domain := range []string{"good.test", "forced.test"} {
		w.Await("b@"+domain, harness.In("delivered")).Want(t, map[string]string{"proved_by": "dane-ee", "policy": "dane"})
	}
	w.Await("a@mismatch.test", harness.Waits("dane-mismatch"))

	dns.Anchor(peers.Unsigned)
	for _, domain := range []string{"good.test", "forced.test"} {
		w.Send("anna@home.test", "insecure", "c@"+domain)
	}
	w.Await("c@good.test", harness.In("delivered")).Want(t, map[string]string{"reached": "encrypted", "policy": "", "proved_by": ""})
	got := w.Await("c@forced.test", func(t harness.Trace) bool { return t.State == "queued" && t.Reason != "" })
	if len(harness.Bodies(servers["forced.test"], "insecure")) > 0 || got.Rule != "forced" {
		t.Errorf("a rule that asks for DANE was passed by: %s", got.Raw)
	}
}
