package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/peers"
)

// Everyone has an address of their own on the loopback; the mail servers that MX records name share one port.
const (
	gatewayIP = "127.0.0.1"
	postfixIP = "127.0.0.11"
	eximIP    = "127.0.0.12"
	opensmtpd = "127.0.0.13"
	ownIP     = "127.0.0.14" // the organisation's own server, behind the gateway
	frontIP   = "127.0.0.15" // the same organisation's sending server, in front of it
	expiredIP = "127.0.0.16"
	plainIP   = "127.0.0.17"
)

// world is the gateway of example.test between its own servers and partners.
type world struct {
	*gateway
	ca      *pki.CA
	sink    *peers.Sink // where every receiving server hands on
	front   string      // where people of example.test send from
	mxPort  int
	expired *peers.Process
	broken  bool // OpenSMTPD breaks every handshake (see peers.OpenSMTPD)
}

func newWorld(t *testing.T) *world {
	w := &world{ca: pki.New(time.Now(), "End to end CA"), sink: peers.NewSink(t)}
	w.mxPort = peers.FreePort(t, postfixIP, eximIP, opensmtpd, ownIP, frontIP, expiredIP, plainIP)
	w.front = fmt.Sprintf("%s:%d", frontIP, w.mxPort)
	gatewayPort := peers.FreePort(t, gatewayIP)
	gatewayAddr := fmt.Sprintf("%s:%d", gatewayIP, gatewayPort)
	resolver := peers.Unbound(t, `
		postfix.test. MX 10 mx.postfix.test.
		mx.postfix.test. A `+postfixIP+`
		exim.test. MX 10 mx.exim.test.
		mx.exim.test. A `+eximIP+`
		opensmtpd.test. MX 10 mx.opensmtpd.test.
		mx.opensmtpd.test. A `+opensmtpd+`
		expired.test. MX 10 mx.expired.test.
		mx.expired.test. A `+expiredIP+`
		plain.test. MX 10 mx.plain.test.
		mx.plain.test. A `+plainIP+`
		both.test. MX 10 mx.expired.test.
		both.test. MX 20 mx.postfix.test.
		null.test. MX 0 .
	`)

	w.server(t, peers.Postfix, "mx.postfix.test", postfixIP, w.issue("mx.postfix.test"), "postfix.test", "both.test")
	w.server(t, peers.Exim, "mx.exim.test", eximIP, w.issue("mx.exim.test"), "exim.test")
	smtpd := w.issue("mx.opensmtpd.test")
	peers.OpenSMTPD(t, peers.Server{Hostname: "mx.opensmtpd.test", IP: opensmtpd, Port: w.mxPort, Domains: []string{"opensmtpd.test"},
		Sink: w.sink.Addr, Cert: smtpd.CertPEM, Key: smtpd.KeyPEM, Smarthost: gatewayAddr, SmarthostTLS: "encrypt"})
	w.server(t, peers.Exim, "mx.plain.test", plainIP, nil, "plain.test")
	w.startExpired(t, true)
	internal := pki.New(time.Now(), "The organisation's own CA")
	w.server(t, peers.Postfix, "mail.example.test", ownIP,
		internal.Issue(pki.Options{Names: []string{"mail.example.test"}}), "example.test")
	peers.Postfix(t, peers.Server{Hostname: "out.example.test", IP: frontIP, Port: w.mxPort, Sink: w.sink.Addr,
		Smarthost: gatewayAddr, SmarthostTLS: "verify", CA: w.ca.RootPEM(), Extra: "smtp_tls_verify_cert_match = gw.example.test\n"})
	w.broken = !peers.HandshakeWorks(t, fmt.Sprintf("%s:%d", opensmtpd, w.mxPort))

	dir := t.TempDir()
	own := w.issue("gw.example.test")
	writeFile(t, filepath.Join(dir, "cert.pem"), string(own.CertPEM))
	writeFile(t, filepath.Join(dir, "key.pem"), string(own.KeyPEM))
	writeFile(t, filepath.Join(dir, "ca.pem"), string(w.ca.RootPEM()))
	writeFile(t, filepath.Join(dir, "internal.pem"), string(internal.RootPEM()))
	w.gateway = startGateway(t, gatewayAddr, strings.NewReplacer("DIR", dir, "GATEWAY", gatewayAddr, "FRONT", frontIP, "OPENSMTPD", opensmtpd,
		"OWN", fmt.Sprintf("%s:%d", ownIP, w.mxPort), "RESOLVER", resolver, "MXPORT", fmt.Sprint(w.mxPort)).Replace(gatewayConfig), rules)
	return w
}

const gatewayConfig = `
hostname = "gw.example.test"
data = "DIR/data"
[[listen]]
address = "GATEWAY"
[tls]
certificates = [{cert = "DIR/cert.pem", key = "DIR/key.pem"}]
[relay]
networks = ["FRONT/32", "OPENSMTPD/32"]
[[domain]]
name = "example.test"
deliver_to = ["OWN"]
trust = "DIR/internal.pem"
require = "authenticated"
[dns]
servers = ["RESOLVER"]
[delivery]
port = MXPORT
deny_networks = []
retry = ["1s"]
lifetime = "60s"
delay_notice = 0
[trust]
roots = "DIR/ca.pem"
[admin]
listen = ""
`

// The window is long enough for the repair and short enough for its end to be seen.
const rules = `
[[rule]]
name = "partners"
scope = "outbound"
action = "force-tls"
[rule.match]
subject = ["*[secure]*"]
[rule.force_tls]
defer = "15s"
mx = "any"
revocation = "off"
`

func (w *world) issue(host string) *pki.Certificate {
	return w.ca.Issue(pki.Options{Names: []string{host}})
}

// server starts a partner's or our own server, which hands everything on to the sink.
func (w *world) server(t *testing.T, start func(testing.TB, peers.Server) *peers.Process, host, ip string, cert *pki.Certificate, domains ...string) *peers.Process {
	t.Helper()
	s := peers.Server{Hostname: host, IP: ip, Port: w.mxPort, Domains: domains, Sink: w.sink.Addr}
	if cert != nil {
		s.Cert, s.Key = cert.CertPEM, cert.KeyPEM
	}
	return start(t, s)
}

// startExpired starts the server whose certificate is out of date, or the same with a renewed one.
func (w *world) startExpired(t *testing.T, expired bool) {
	t.Helper()
	options := pki.Options{Names: []string{"mx.expired.test"}}
	if expired {
		options.NotAfter = time.Now().Add(-24 * time.Hour)
	}
	w.expired = w.server(t, peers.Exim, "mx.expired.test", expiredIP, w.ca.Issue(options), "expired.test", "both.test")
}

// secure is the header that the rule forces.
var secure = []string{"--header", "Subject: [secure] end to end"}

func TestTheGatewayBetweenRealServers(t *testing.T) {
	w := newWorld(t)

	t.Run("check says of each what delivery will find", func(t *testing.T) { checkRealServers(t, w) })

	t.Run("opportunistic mail reaches each partner over the best it can do", func(t *testing.T) {
		for domain, want := range map[string]struct{ reached, stamp string }{
			"postfix.test": {"encrypted", "using TLSv1.3 with cipher"},
			"exim.test":    {"encrypted", "TLS1.3"},
			"expired.test": {"encrypted", "TLS1.3"},
			"plain.test":   {"plaintext", "with esmtp"},
		} {
			to := "someone@" + domain
			send(t, w.front, "anna@example.test", to, "to "+domain)
			d := w.trace(t, to, in("delivered"))
			if d.Reached == "plaintext" != (want.reached == "plaintext") {
				t.Errorf("%s: reached %s, want %s: %s", to, d.Reached, want.reached, d.raw)
			}
			m := w.sink.Wait(t, patience, peers.With(to, "to "+domain))
			if !strings.Contains(string(m.Data), want.stamp) {
				t.Errorf("%s: the partner's own Received line does not say %q:\n%s", to, want.stamp, m.Data)
			}
			stampOfTheGateway(t, m)
		}
	})

	t.Run("a partner whose handshake breaks gets opportunistic mail in plaintext, on a new connection", func(t *testing.T) {
		to := "someone@opensmtpd.test"
		send(t, w.front, "anna@example.test", to, "to OpenSMTPD")
		d := w.trace(t, to, in("delivered"))
		if w.broken != (d.Reached == "plaintext") || w.broken && !strings.HasPrefix(d.Reason, "tls-") {
			t.Errorf("handshake broken: %v, and %s", w.broken, d.raw)
		}
		w.sink.Wait(t, patience, peers.With(to, "to OpenSMTPD"))
	})

	t.Run("forced mail reaches partners that prove themselves", func(t *testing.T) {
		for _, to := range []string{"forced@postfix.test", "forced@exim.test"} {
			send(t, w.front, "anna@example.test", to, "secret for "+to, secure...)
			d := w.trace(t, to, in("delivered"))
			if d.Requires != "authenticated" || d.Reached != "authenticated" || d.TLSVersion != "TLSv1.3" {
				t.Errorf("%s", d.raw)
			}
			w.sink.Wait(t, patience, peers.With(to, "secret for "+to))
		}
	})

	t.Run("forced mail passes over the MX that fails and takes the one that proves itself", func(t *testing.T) {
		to := "forced@both.test"
		send(t, w.front, "anna@example.test", to, "for the second MX", secure...)
		d := w.trace(t, to, in("delivered"))
		if d.MX != "mx.postfix.test" || d.Reached != "authenticated" {
			t.Errorf("%s", d.raw)
		}
	})

	t.Run("forced mail to a partner that falls short waits, and not one MAIL command reaches it", func(t *testing.T) {
		for to, reason := range map[string]string{"waits@expired.test": "cert-expired", "waits@plain.test": "starttls-not-offered"} {
			send(t, w.front, "anna@example.test", to, "never in the clear", secure...)
			d := w.trace(t, to, waitsFor(reason))
			if d.Requires != "authenticated" {
				t.Errorf("%s", d.raw)
			}
		}
		if strings.Contains(w.expired.Log(), "waits@") {
			t.Errorf("the expired partner heard of the mail:\n%s", w.expired.Log())
		}
	})

	t.Run("when the partner has repaired its certificate, retry sends what waits within seconds", func(t *testing.T) {
		w.expired.Stop()
		w.startExpired(t, false)
		start := time.Now()
		w.postern(t, "queue", "retry")
		w.sink.Wait(t, patience, peers.With("waits@expired.test", "never in the clear"))
		t.Logf("delivered %v after the retry", time.Since(start).Round(time.Millisecond))
		if d := w.trace(t, "waits@expired.test", in("delivered")); d.Reached != "authenticated" {
			t.Errorf("%s", d.raw)
		}
	})

	t.Run("when the window ends the sender gets one report, over TLS, with headers only", func(t *testing.T) {
		m := w.sink.Wait(t, time.Minute, peers.With("anna@example.test", "waits@plain.test"))
		text := string(m.Data)
		for _, want := range []string{"multipart/report", "starttls-not-offered", "5.7.", "x-postern", "text/rfc822-headers", "using TLSv1.3"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in the report:\n%s", want, text)
			}
		}
		if strings.Contains(text, "never in the clear") {
			t.Errorf("the report carries the body:\n%s", text)
		}
		if m.From != "" {
			t.Errorf("the report comes from <%s>, want the null sender", m.From)
		}
		w.trace(t, "waits@plain.test", in("failed"))
		for _, m := range w.sink.All() {
			if peers.ToAddress("waits@plain.test")(m) {
				t.Errorf("forced mail was delivered to a partner without TLS")
			}
		}
	})

	t.Run("mail from the world reaches the organisation's own server with the stamp of its inbound hop", func(t *testing.T) {
		send(t, w.addr, "stranger@world.test", "anna@example.test", "from outside over TLS", "--tls", "--local-interface", "127.0.0.99")
		m := w.sink.Wait(t, patience, peers.With("anna@example.test", "from outside over TLS"))
		stampOfTheGateway(t, m)
		send(t, w.addr, "stranger@world.test", "anna@example.test", "from outside in plaintext", "--local-interface", "127.0.0.99")
		w.sink.Wait(t, patience, peers.With("anna@example.test", "from outside in plaintext"))
		d := w.trace(t, "anna@example.test", func(d delivery) bool { return d.State == "delivered" && d.From == "stranger@world.test" })
		if d.Requires != "authenticated" || d.Reached != "authenticated" {
			t.Errorf("the leg to our own server, whose CA is private: %s", d.raw)
		}
	})

	t.Run("OpenSMTPD hands its mail to the gateway over TLS", func(t *testing.T) {
		send(t, fmt.Sprintf("%s:%d", opensmtpd, w.mxPort), "anna@example.test", "colleague@postfix.test", "by way of OpenSMTPD")
		stampOfTheGateway(t, w.sink.Wait(t, patience, peers.With("colleague@postfix.test", "by way of OpenSMTPD")))
	})

	t.Run("content arrives as it was sent", func(t *testing.T) { testContent(t, w) })

	t.Run("an address outside ASCII is delivered", func(t *testing.T) { testInternational(t, w) })

	t.Run("strangers cannot relay", func(t *testing.T) {
		dialogue, ok := peers.Swaks(t, "--server", w.addr, "--from", "stranger@world.test", "--to", "victim@postfix.test",
			"--local-interface", "127.0.0.99")
		if ok || !strings.Contains(dialogue, "550 5.7.1") {
			t.Errorf("swaks:\n%s", dialogue)
		}
	})

	t.Run("a domain that takes no mail fails at once", func(t *testing.T) {
		send(t, w.front, "anna@example.test", "nobody@null.test", "nowhere")
		if d := w.trace(t, "nobody@null.test", in("failed")); d.Reason != "dns-null-mx" {
			t.Errorf("%s", d.raw)
		}
		w.sink.Wait(t, patience, peers.With("anna@example.test", "nobody@null.test"))
	})

	t.Run("a kill loses nothing", func(t *testing.T) {
		send(t, w.front, "anna@example.test", "restart@plain.test", "must wait", secure...)
		before := w.trace(t, "restart@plain.test", waitsFor("starttls-not-offered"))
		w.kill()
		w.serve(t)
		after := w.trace(t, "restart@plain.test", func(delivery) bool { return true })
		if before.Message != after.Message || after.State != "queued" {
			t.Errorf("before: %s\nafter: %s", before.raw, after.raw)
		}
		w.postern(t, "queue", "cancel", after.Message)
		w.trace(t, "restart@plain.test", in("cancelled"))
	})
}

// stampOfTheGateway checks that the gateway's Received line tells the hop it saw.
func stampOfTheGateway(t *testing.T, m peers.Mail) {
	t.Helper()
	text := string(m.Data)
	at := strings.Index(text, "by gw.example.test")
	if at < 0 || !strings.Contains(text[max(0, at-300):min(len(text), at+600)], "with cipher") {
		t.Errorf("no stamp of the gateway with the cipher of its inbound hop:\n%.2000s", text)
	}
}
