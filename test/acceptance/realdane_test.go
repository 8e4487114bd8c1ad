package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
	"postern/test/peers"
)

// What `postern records` prints is pasted into a signed zone, and Postfix's client, which takes nothing less than DANE,
// finds the gateway by it and verifies it: with the present key, after the change to the next one, which was published
// before, and not with a key that nobody published. The certificates' own CA is unknown to it.
func TestPostfixVerifiesUsByTheRecordsWePrint(t *testing.T) {
	peers.NeedRoot(t)
	t.Parallel()
	w := newWorld(t)
	ip := harness.NewIP()
	w.Addr = ip + ":25" // what TLSA records are for
	for _, key := range []string{"next", "third"} {
		w.Certificate(key, "gw.home.test")
	}
	w.Settings["tls.next_keys"] = `["next.pem"]`
	w.Start("")
	printed := w.Postern("records")
	if n := strings.Count(printed, "_25._tcp.gw.home.test. IN TLSA 3 1 1 "); n != 2 {
		t.Fatalf("%d TLSA records, want one of each key:\n%s", n, printed)
	}
	dns := peers.NewSignedDNS(t, peers.SignedZone{Name: "home.test", Records: printed + "\ngw.home.test. A " + ip})
	for i, c := range []struct{ name, key, want string }{
		{"the present key", "gw", "Verified"}, {"the next key", "next", "Verified"}, {"a key that nobody published", "third", "Untrusted"},
	} {
		if i > 0 { // its files take the place of those there were
			for _, end := range []string{".pem", ".key"} {
				text, err := os.ReadFile(filepath.Join(w.Dir, c.key+end))
				if err != nil {
					t.Fatal(err)
				}
				w.Write("gw"+end, text)
			}
			w.Postern("reload")
		}
		if verdict, said := peers.PosttlsFingerDANE(t, dns, "dane-only", "home.test:25", nil); verdict != c.want {
			t.Errorf("%s: Postfix says %q, want %q:\n%s", c.name, verdict, c.want, said)
		}
	}
}

// Exim is a next hop under DANE and under MTA-STS: mail goes where the record matches or the policy names the host, and
// waits where not. The same server is behind all names.
func TestEximIsAHopThatPublishes(t *testing.T) {
	peers.NeedRoot(t)
	t.Parallel()
	w := newWorld(t)
	ip, sink := harness.NewIP(), peers.NewSink(t)
	w.Port = peers.FreePort(t, ip)
	domains := []string{"match.test", "mismatch.test", "anchor.test", "named.test", "other.test"}
	var hosts []string
	for _, domain := range domains {
		hosts = append(hosts, "mx."+domain)
	}
	cert, another := w.CA.Issue(pki.Options{Names: hosts}), w.CA.Issue(pki.Options{Names: hosts})
	published := map[string]string{
		"match.test":    peers.TLSA("mx.match.test", w.Port, 3, 1, 1, cert.Leaf),
		"mismatch.test": peers.TLSA("mx.mismatch.test", w.Port, 3, 1, 1, another.Leaf),
		"anchor.test":   peers.TLSA("mx.anchor.test", w.Port, 2, 0, 1, w.CA.Intermediate()),
	}
	for domain, mx := range map[string]string{"named.test": "mx.named.test", "other.test": "elsewhere.test"} {
		host := w.policyHost(domain, "1", policy("enforce", mx))
		published[domain] = fmt.Sprintf("mta-sts.%[1]s. A %[2]s\n_mta-sts.%[1]s. TXT \"v=STSv1; id=1;\"", domain, host.ip)
	}
	var zones []peers.SignedZone
	for _, domain := range domains {
		zones = append(zones, peers.SignedZone{Name: domain, Records: fmt.Sprintf("%[1]s. MX 10 mx.%[1]s.\nmx.%[1]s. A %[2]s\n%[3]s", domain, ip, published[domain])})
	}
	w.Settings["dns.servers"] = fmt.Sprintf("[%q]", peers.NewSignedDNS(t, zones...).Resolver)
	peers.Exim(t, peers.Server{Hostname: "mx.match.test", IP: ip, Port: w.Port, Domains: domains, Sink: sink.Addr, Cert: cert.CertPEM, Key: cert.KeyPEM})
	w.Start("")
	for _, domain := range domains {
		w.Send("anna@home.test", "for "+domain, "a@"+domain)
	}
	for domain, proof := range map[string][2]string{"match.test": {"dane", "dane-ee"}, "anchor.test": {"dane", "dane-ta"}, "named.test": {"sts", "certificate"}} {
		w.Await("a@"+domain, harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated", "policy": proof[0], "proved_by": proof[1]})
		sink.Wait(t, 30*time.Second, func(m peers.Mail) bool { return strings.Contains(string(m.Data), "for "+domain) })
	}
	w.Await("a@mismatch.test", harness.Waits("dane-mismatch"))
	w.Await("a@other.test", harness.Waits("sts-mx-mismatch"))
}
