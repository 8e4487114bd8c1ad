package peers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

// Each server is started alone and given a mail by swaks over STARTTLS; what it hands on must be that mail.
func TestEachPeerTakesMailOverTLSAndHandsItOn(t *testing.T) {
	ca := pki.New(time.Now(), "Peers CA")
	for name, run := range map[string]func(testing.TB, Server) *Process{"postfix": Postfix, "exim": Exim, "opensmtpd": OpenSMTPD} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := name + ".test"
			cert := ca.Issue(pki.Options{Names: []string{host}})
			sink := NewSink(t)
			port := FreePort(t, "127.0.0.1")
			address := fmt.Sprintf("127.0.0.1:%d", port)
			run(t, Server{Hostname: host, IP: "127.0.0.1", Port: port, Domains: []string{"dest.test"}, Sink: sink.Addr,
				Cert: cert.CertPEM, Key: cert.KeyPEM})
			give := []string{"--server", address, "--from", "a@client.test", "--to", "b@dest.test", "--body", "over " + name}
			if name != "opensmtpd" || HandshakeWorks(t, address) { // see OpenSMTPD
				give = append(give, "--tls")
			}
			if dialogue, ok := Swaks(t, give...); !ok {
				t.Fatalf("swaks:\n%s", dialogue)
			}
			m := sink.Wait(t, 20*time.Second, ToAddress("b@dest.test"))
			if m.From != "a@client.test" || !strings.Contains(string(m.Data), "over "+name) {
				t.Errorf("from %s:\n%s", m.From, m.Data)
			}
			if dialogue, ok := Swaks(t, "--server", address, "--from", "a@client.test",
				"--to", "b@elsewhere.invalid", "--quit-after", "RCPT"); ok && name != "postfix" {
				t.Errorf("it relays for everybody:\n%s", dialogue)
			}
		})
	}
}

func TestAPeerWithoutACertificateOffersNoTLS(t *testing.T) {
	for name, run := range map[string]func(testing.TB, Server) *Process{"postfix": Postfix, "exim": Exim, "opensmtpd": OpenSMTPD} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := FreePort(t, "127.0.0.1")
			run(t, Server{Hostname: name + ".test", IP: "127.0.0.1", Port: port, Domains: []string{"dest.test"}, Sink: "127.0.0.1:1"})
			dialogue, _ := Swaks(t, "--server", fmt.Sprintf("127.0.0.1:%d", port), "--quit-after", "EHLO")
			if !strings.Contains(dialogue, "250") || strings.Contains(dialogue, "STARTTLS") {
				t.Errorf("swaks:\n%s", dialogue)
			}
		})
	}
}

func TestUnboundAnswersForTheTestZoneOnly(t *testing.T) {
	address := Unbound(t, "dest.test. MX 10 mx.dest.test.\nmx.dest.test. A 127.0.0.2\n")
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatal(address)
	}
}
