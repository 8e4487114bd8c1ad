package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/x509"

	"golang.org/x/crypto/ocsp"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
	"postern/test/peers"
)

// stone is a server of OpenSSL's, NAME.test, with one thing odd about it.
type stone struct {
	name  string
	cert  pki.Options
	bare  bool     // no certificate at all
	args  []string // of s_server
	file  func(w *world, c *pki.Certificate) []byte
	after string // the option that file is for

	reason   string // of a forced delivery, "" where it passes
	reached  string // by ordinary mail
	finding  string // of check, "" where none is due
	finger   string // why posttls-finger judges otherwise, "" where it does not
	scripted func(w *world, host string) partner.Behaviour
}

// opensslWall is every kind of server that OpenSSL as Debian builds it can be made to be. It has neither SSL 3.0 nor
// RC4, triple DES and export suites: SSL 3.0 is scripted, the others have their tests between engines.
func opensslWall(now time.Time) []stone {
	rsa := pki.Options{Key: pki.RSA2048, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	staple := func(a pki.Answer) func(*world, *pki.Certificate) []byte {
		return func(w *world, c *pki.Certificate) []byte {
			a.Cert = c.Leaf
			return w.CA.Answer(a)
		}
	}
	return []stone{
		{name: "o-all", reached: "authenticated"},
		{name: "o-tls10", args: []string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, reason: "tls-version", reached: "encrypted", finding: "legacy-only"},
		{name: "o-tls11", args: []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, reason: "tls-version", reached: "encrypted", finding: "legacy-only"},
		{name: "o-tls12", args: []string{"-tls1_2"}, reached: "authenticated"},
		{name: "o-tls13", args: []string{"-tls1_3"}, reached: "authenticated"},
		{name: "o-ssl3", reason: "tls-version", reached: "plaintext", finding: "ssl3-only", scripted: func(w *world, host string) partner.Behaviour {
			c := w.CA.Issue(pki.Options{Names: []string{host}})
			return partner.Behaviour{Upgrade: (&partner.Clear{Version: 0x0300, Suite: 0x0035, Strict: true, Chain: c.TLS.Certificate}).Upgrade}
		}},

		{name: "o-dhe", cert: rsa, args: []string{"-tls1_2", "-cipher", "DHE:@SECLEVEL=0"}, reason: "tls-no-shared-cipher", reached: "plaintext", finding: "dhe-only", finger: "OpenSSL speaks finite fields"},
		{name: "o-dhe10", cert: rsa, args: []string{"-tls1", "-cipher", "DHE:@SECLEVEL=0"}, reason: "tls-version", reached: "plaintext", finding: "dhe-only"},
		{name: "o-rsakx", cert: rsa, args: []string{"-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"}, reason: "tls-no-shared-cipher", reached: "authenticated", finding: "legacy-only", finger: "OpenSSL offers RSA key exchange without being asked"},
		{name: "o-camellia", cert: rsa, args: []string{"-tls1_2", "-cipher", "ECDHE-RSA-CAMELLIA128-SHA256"}, reason: "tls-no-shared-cipher", reached: "plaintext", finding: "suite-unsupported", finger: "OpenSSL speaks Camellia"},
		{name: "o-null", args: []string{"-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"}, reason: "tls-no-shared-cipher", reached: "plaintext", finding: "suite-unsupported"},
		{name: "o-anon", bare: true, args: []string{"-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"}, reason: "tls-no-shared-cipher", reached: "plaintext", finding: "anonymous-only"},
		{name: "o-curve", args: []string{"-tls1_2", "-cipher", "ECDHE", "-curves", "brainpoolP256r1"}, cert: rsa, reason: "tls-no-shared-cipher", reached: "plaintext", finding: "curve-unsupported"},
		{name: "o-nocert", bare: true, reason: "tls-no-shared-cipher", reached: "plaintext", finding: "nothing-accepted"},

		{name: "o-expired", cert: pki.Options{NotAfter: now.Add(-26 * time.Hour)}, reason: "cert-expired", reached: "encrypted"},
		{name: "o-future", cert: pki.Options{NotBefore: now.Add(26 * time.Hour)}, reason: "cert-not-yet-valid", reached: "encrypted"},
		{name: "o-self", cert: pki.Options{SelfSigned: true}, reason: "cert-self-signed", reached: "encrypted"},
		{name: "o-name", cert: pki.Options{Names: []string{"www.hosting.test"}}, reason: "cert-name-mismatch", reached: "encrypted"},
		{name: "o-chain", cert: pki.Options{OmitIntermediates: true}, reason: "cert-incomplete-chain", reached: "encrypted"},
		{name: "o-rsa1024", cert: pki.Options{Key: pki.RSA1024}, args: []string{"-cipher", "ALL:@SECLEVEL=0"}, reason: "cert-weak", reached: "encrypted", finger: "Postfix sets no lower bound of its own"},
		{name: "o-sha1", cert: pki.Options{Intermediates: []pki.Intermediate{{Key: pki.RSA2048}}, Signature: x509.SHA1WithRSA}, args: []string{"-cipher", "ALL:@SECLEVEL=0"},
			reason: "cert-weak", reached: "encrypted"},
		{name: "o-negative", cert: pki.Options{NegativeSerial: true}, reason: "cert-usage", reached: "encrypted", finger: "OpenSSL takes negative serial numbers"},
		{name: "o-unreadable", cert: pki.Options{Names: []string{"mx.o-unreadable.test", "m\xfcller.test"}}, args: []string{"-tls1_2"}, reason: "tls-handshake",
			reached: "plaintext", finding: "certificate-unreadable", finger: "OpenSSL does not look at names it does not need"},
		{name: "o-unreadable13", cert: pki.Options{Names: []string{"mx.o-unreadable13.test", "m\xfcller.test"}}, args: []string{"-tls1_3"}, reason: "tls-handshake",
			reached: "plaintext", finding: "tls13-only", finger: "OpenSSL does not look at names it does not need"},

		{name: "o-staple", cert: pki.Options{MustStaple: true}, file: staple(pki.Answer{}), after: "-status_file", reached: "authenticated"},
		{name: "o-revoked", file: staple(pki.Answer{Status: ocsp.Revoked, Reason: 1}), after: "-status_file", reason: "cert-revoked", reached: "authenticated", finger: "it does not ask for revocation"},
		{name: "o-unstapled", cert: pki.Options{MustStaple: true}, reason: "revocation-unknown", reached: "authenticated", finger: "it does not ask for revocation"},
		{name: "o-client12", args: []string{"-tls1_2", "-Verify", "1", "-verify_return_error"}, reason: "tls-alert", reached: "plaintext", finding: "client-certificate-asked"},
		{name: "o-client13", args: []string{"-tls1_3", "-Verify", "1", "-verify_return_error"}, reason: "tls-alert", reached: "plaintext", finding: "client-certificate-asked", finger: "it says so before the server had its word, and then loses the connection"},
	}
}

// raise puts a stone into the world.
func (w *world) raise(s stone) {
	w.T.Helper()
	host := "mx." + s.name + ".test"
	if s.scripted != nil {
		w.Domain(s.name+".test", s.scripted(w, host))
		return
	}
	o := s.cert
	if o.Names == nil {
		o.Names = []string{host}
	}
	c := w.CA.Issue(o)
	var chain, key []byte
	if !s.bare {
		chain, key = c.CertPEM, c.KeyPEM
	}
	server := peers.NewOpenSSL(w.T, chain, key, s.args...)
	if s.file != nil {
		server.With(s.after, server.File(w.T, "file", s.file(w, c)))
	}
	w.Domain(s.name+".test", partner.Behaviour{Upgrade: server.Upgrade})
}

// finds are the codes of a target's findings in the output of check.
func finds(t *testing.T, line string) (out []string) {
	t.Helper()
	var r struct {
		Findings []struct{ Code, Text string }
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	for _, f := range r.Findings {
		out = append(out, f.Code)
	}
	return out
}

// TestCheckAndDeliveryAgreeAboutEveryServerOfOpenSSL holds both to what each server is known to be.
func TestCheckAndDeliveryAgreeAboutEveryServerOfOpenSSL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["delivery.attempt_timeout"], w.Settings["delivery.retry"] = `"30s"`, `["30s"]` // each connection costs a process
	wall := opensslWall(w.Now)
	var targets, forced []string
	for _, s := range wall {
		w.raise(s)
		targets = append(targets, s.name+".test")
		forced = append(forced, fmt.Sprintf(`"dr@%s.test"`, s.name))
	}
	w.Start(harness.Force("protected", strings.Join(forced, ", "), `defer = "60s"`))
	said, found := map[string]map[string]verdict{}, map[string]string{}
	for some := range slices.Chunk(targets, 8) { // a process for each connection takes its time
		verdicts, objects := w.checksAll(1, append([]string{"--as-rule", "protected"}, some...)...)
		maps.Copy(said, verdicts)
		maps.Copy(found, objects)
	}
	for name, p := range w.Hosts {
		if lines := harness.Forbidden(p, false); len(lines) > 0 {
			t.Errorf("%s heard of mail from check: %q", name, lines)
		}
	}
	for _, target := range targets {
		w.Send("anna@home.test", "secret", "dr@"+target)
		w.Send("anna@home.test", "ordinary", "info@"+target)
	}
	for _, s := range wall {
		target := s.name + ".test"
		secret := w.Await("dr@"+target, func(tr harness.Trace) bool { return tr.Reason != "" || tr.State == "delivered" })
		ordinary := w.Await("info@"+target, harness.In("delivered"))
		rule, open := said[target]["rule protected"], said[target]["opportunistic"]
		if secret.Reason != s.reason || rule.Reason != s.reason || (rule.Outcome == "delivered") != (s.reason == "") || (secret.State == "delivered") != (s.reason == "") {
			t.Errorf("%s, forced: check says %s %q, delivery %s %q, want %q\n%s", target, rule.Outcome, rule.Reason, secret.State, secret.Reason, s.reason, secret.Raw)
		}
		if ordinary.Reached != s.reached || open.Reached != s.reached || open.Reason != ordinary.Reason {
			t.Errorf("%s, ordinary: check says %s %q, delivery %s %q, want %s", target, open.Reached, open.Reason, ordinary.Reached, ordinary.Reason, s.reached)
		}
		if codes := finds(t, found[target]); s.finding != "" && !slices.Contains(codes, s.finding) {
			t.Errorf("%s: findings %v, want %s\n%s", target, codes, s.finding, found[target])
		}
		if lines := harness.Forbidden(w.Hosts["mx."+target], s.reached == "plaintext"); s.reason != "" && slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "dr@") }) {
			t.Errorf("%s heard of forced mail: %q", target, lines)
		}
	}
}

// TestPosttlsFingerAgrees: the tool of Postfix, which shares no line with ours, judges the same servers. Where it
// differs the wall says why.
func TestPosttlsFingerAgrees(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, s := range opensslWall(w.Now) {
		w.raise(s)
		host := "mx." + s.name + ".test"
		verified, said := peers.PosttlsFinger(t, w.Hosts[host].Addr().String(), host, w.CA.RootPEM())
		if agrees := verified == (s.reason == ""); agrees != (s.finger == "") {
			t.Errorf("%s: delivery says %q, posttls-finger %v, and the wall %q\n%s", s.name, s.reason, verified, s.finger, said)
		}
	}
	w.Domain("plain.test", partner.Behaviour{})
	w.Domain("text.test", broken(partner.BreaksTLS)(w, "mx.text.test"))
	w.Domain("early.test", broken(partner.TakesEarly)(w, "mx.early.test"))
	addresses := map[string]string{"postfix": w.peer("postfix", peers.Postfix), "exim": w.peer("exim", peers.Exim)}
	for _, name := range []string{"plain", "text", "early"} {
		addresses[name] = w.Hosts["mx."+name+".test"].Addr().String()
	}
	w.Configure()
	for name, address := range addresses {
		verified, said := peers.PosttlsFinger(t, address, "mx."+name+".test", w.CA.RootPEM())
		if passes := w.checks(0, name+".test")[name+".test"]["force-tls"].Outcome == "delivered"; passes != verified || verified != (name != "plain" && name != "text") {
			t.Errorf("%s: check passes it: %v, posttls-finger: %v\n%s", name, passes, verified, said)
		}
	}
}

// peer starts a real mail server, mx.NAME.test, with a good certificate, and returns its address.
func (w *world) peer(name string, run func(testing.TB, peers.Server) *peers.Process) string {
	w.T.Helper()
	ip, host := harness.NewIP(), "mx."+name+".test"
	cert := w.CA.Issue(pki.Options{Names: []string{host}, Key: pki.RSA2048})
	run(w.T, peers.Server{Hostname: host, IP: ip, Port: w.Port, Domains: []string{name + ".test"}, Sink: "127.0.0.1:1", Cert: cert.CertPEM, Key: cert.KeyPEM})
	w.Record("!"+name+".test MX 10 "+host, host+" A "+ip)
	return fmt.Sprintf("%s:%d", ip, w.Port)
}
