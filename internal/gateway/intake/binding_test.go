package intake_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/intake"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/queue"
)

func of(domains ...string) (out []intake.Sender) {
	for _, d := range domains {
		rest, below := strings.CutPrefix(d, "*.")
		switch d {
		case "<>":
			out = append(out, intake.Sender{Null: true})
		case "*":
			out = append(out, intake.Sender{Any: true})
		default:
			out = append(out, intake.Sender{Domain: mail.MustDomain(rest), Below: below})
		}
	}
	return out
}

func testBindings() []intake.Binding {
	networks := func(texts ...string) (out []netip.Prefix) {
		for _, t := range texts {
			out = append(out, netip.MustParsePrefix(t))
		}
		return out
	}
	return []intake.Binding{
		{Networks: networks("10.1.0.0/16", "::ffff:10.9.0.0/112"), Senders: of("clinic.test", "bücher.test", "<>")},
		{Networks: networks("10.1.2.0/24"), Senders: of("*.branch.test", "[192.0.2.1]")},
		{Networks: networks("10.1.2.3/32"), Senders: of("*")},
		{Users: []string{"user"}, Senders: of("user.test")},
		{Certificates: []string{"client.test"}, Senders: of("app.test")},
		{Certificates: []string{"two.client.test"}, Senders: of("second.test")},
		{Certificates: []string{"*.client.test"}, Senders: of("below.test")},
		{Certificates: []string{"*"}, Senders: of("any.test")},
	}
}

// TestWhatWaitsIsBoundByTheBindingsOfNow: by the address it came from and who logged in. Of a certificate only what it
// proved then is kept.
func TestWhatWaitsIsBoundByTheBindingsOfNow(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	certified := &mail.TLS{Client: &mail.ClientCertificate{Verified: true}}
	now := intake.NewBindings(testBindings(), networks, true)
	for name, c := range map[string]struct {
		in     queue.Inbound
		want   string
		relays bool
	}{
		"a network":               {queue.Inbound{Client: netip.MustParseAddr("10.1.7.7"), Relayed: true, Bound: []string{"then.test"}}, "clinic.test xn--bcher-kva.test", true},
		"none any more":           {queue.Inbound{Client: netip.MustParseAddr("10.2.0.1"), Relayed: true, Bound: []string{"then.test"}}, "", true},
		"any sender":              {queue.Inbound{Client: netip.MustParseAddr("10.1.2.3"), Relayed: true}, "", true},
		"a user":                  {queue.Inbound{Client: netip.MustParseAddr("198.51.100.1"), User: "user", Relayed: true}, "user.test", true},
		"a certificate":           {queue.Inbound{Client: netip.MustParseAddr("10.1.7.7"), TLS: certified, Relayed: true, Bound: []string{"then.test"}}, "then.test", true},
		"a stranger":              {queue.Inbound{Client: netip.MustParseAddr("198.51.100.1")}, "", false},
		"one that was a stranger": {queue.Inbound{Client: netip.MustParseAddr("10.1.7.7")}, "", true},
	} {
		if got := strings.Join(now.Bound(&c.in), " "); got != c.want || now.Relays(&c.in) != c.relays {
			t.Errorf("%s: bound to %q, relays %v", name, got, now.Relays(&c.in))
		}
	}
	none := intake.NewBindings(nil, networks, true)
	if none.Digest() != "" || now.Digest() == "" || now.Digest() != intake.NewBindings(testBindings(), networks, true).Digest() ||
		now.Digest() == intake.NewBindings(testBindings()[1:], networks, true).Digest() {
		t.Error("the digests do not tell bindings apart")
	}
}

// TestWhoRelaysUsesTheSendersItIsBoundTo asks at MAIL, as somebody and by a sender.
func TestWhoRelaysUsesTheSendersItIsBoundTo(t *testing.T) {
	const no, yes = "553 5.7.1", "250"
	for _, tc := range []struct {
		who, from, want string
	}{
		// A network, and every spelling of a domain.
		{"10.1.0.1", "<a@clinic.test>", yes},
		{"10.1.0.1", "<a@CLINIC.Test.>", yes},
		{"10.1.0.1", `<"a@evil.test"@clinic.test>`, yes},
		{"10.1.0.1", "<>", yes},
		{"10.1.0.1", "<a@bücher.test> SMTPUTF8", yes},
		{"10.1.0.1", "<a@BÜCHER。test> SMTPUTF8", yes},
		{"10.1.0.1", "<a@xn--bcher-kva.test>", yes},
		{"10.1.0.1", "<a@evil.test>", no},
		{"10.1.0.1", "<a@sub.clinic.test>", no},
		{"10.1.0.1", "<a@clinic.test.evil.test>", no},
		{"10.1.0.1", "<a@notclinic.test>", no},
		{"10.1.0.1", "<clinic.test@evil.test>", no},
		{"10.1.0.1", "<a%clinic.test@evil.test>", no},
		{"10.1.0.1", "<a@[10.1.0.1]>", no},
		{"10.1.0.1", "<a@[IPv6:::ffff:192.0.2.1]>", no},
		{"10.1.0.1", "<@clinic.test:a@evil.test>", "553 5.1.7"},
		{"10.9.0.1", "<a@evil.test>", no},
		// The smallest network decides, in both directions.
		{"10.1.2.1", "<a@clinic.test>", no},
		{"10.1.2.1", "<>", no},
		{"10.1.2.1", "<a@x.branch.test>", yes},
		{"10.1.2.1", "<a@y.x.branch.test>", yes},
		{"10.1.2.1", "<a@branch.test>", no},
		{"10.1.2.1", "<a@evilbranch.test>", no},
		{"10.1.2.1", "<a@[IPv6:::ffff:192.0.2.1]>", yes},
		{"10.1.2.3", "<a@evil.test>", yes},
		{"10.1.2.3", "<>", yes},
		// Who is in no binding, and who may not relay.
		{"10.2.0.1", "<a@evil.test>", yes},
		{"198.51.100.7", "<a@clinic.test>", yes},
		{"198.51.100.7", "<>", yes},
		// A user, wherever it is.
		{"user 198.51.100.7", "<a@user.test>", yes},
		{"user 198.51.100.7", "<a@clinic.test>", no},
		{"user 198.51.100.7", "<>", no},
		{"user 10.1.2.3", "<a@clinic.test>", no},
		{"user 10.1.0.1", "<a@user.test>", yes},
		// A certificate: a name written out before a pattern, and that before all.
		{"cert:client.test 198.51.100.7", "<a@app.test>", yes},
		{"cert:client.test 198.51.100.7", "<a@any.test>", no},
		{"cert:two.client.test 198.51.100.7", "<a@second.test>", yes},
		{"cert:two.client.test 198.51.100.7", "<a@below.test>", no},
		{"cert:Three.Client.test 198.51.100.7", "<a@below.test>", yes},
		{"cert:evilclient.test 198.51.100.7", "<a@below.test>", no},
		{"cert:evilclient.test 198.51.100.7", "<a@any.test>", yes},
		{"cert:client.test,two.client.test 198.51.100.7", "<a@app.test>", yes},
		{"cert:client.test,two.client.test 198.51.100.7", "<a@second.test>", yes},
		{"cert:client.test 10.1.2.3", "<a@clinic.test>", no},
		{"foreign:client.test 10.1.0.1", "<a@clinic.test>", yes},
		{"foreign:client.test 10.1.0.1", "<a@app.test>", no},
		{"user cert:client.test 10.1.0.1", "<a@user.test>", yes},
		{"user cert:client.test 10.1.0.1", "<a@app.test>", no},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "relay-certificates bindings", "")
			nc := w.come(tc.who)
			got := say(nc, "MAIL FROM:"+tc.from)
			if !strings.HasPrefix(got, tc.want) {
				t.Errorf("%s, %s: %q, want %s", tc.who, tc.from, got, tc.want)
			}
			if tc.want != yes { // nothing of it is left
				if got := say(nc, "RCPT TO:<x@example.test>"); !strings.HasPrefix(got, "503") {
					t.Errorf("%s, %s: RCPT is answered %q", tc.who, tc.from, got)
				}
			}
			nc.Close()
			w.close()
		})
	}
}

// spoken is a connection whose replies are read whole.
type spoken struct {
	net.Conn
	in *bufio.Reader
}

func say(s *spoken, line string) (reply string) {
	io.WriteString(s, line+"\r\n")
	return s.reply()
}

func (s *spoken) reply() (reply string) {
	for {
		line, err := s.in.ReadString('\n')
		reply += line
		if err != nil || len(line) < 4 || line[3] == ' ' {
			return reply
		}
	}
}

// come connects as "[user] [cert:NAME,NAME | foreign:NAME] ADDRESS", and says EHLO.
func (w *world) come(who string) *spoken {
	words := strings.Fields(who)
	nc := w.dial(words[len(words)-1])
	s := &spoken{nc, bufio.NewReader(nc)}
	s.reply()
	say(s, "EHLO c.test")
	for _, word := range words[:len(words)-1] {
		kind, names, _ := strings.Cut(word, ":")
		if kind == "user" {
			kind = ""
		}
		if _, tlsAlready := s.Conn.(*tls.Conn); !tlsAlready {
			certificate := who[strings.Index(who+"cert:", "cert:"):]
			if kind == "" && strings.HasPrefix(certificate, "cert:") { // the certificate comes with the same handshake
				kind, names, _ = strings.Cut(strings.Fields(certificate)[0], ":")
			}
			w.secure(s, kind, names)
		}
		if word == "user" {
			if got := say(s, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00user\x00secret"))); !strings.HasPrefix(got, "235") {
				w.t.Fatalf("AUTH: %q", got)
			}
		}
	}
	return s
}

func (w *world) secure(s *spoken, kind, names string) {
	say(s, "STARTTLS")
	cfg := &tls.Config{RootCAs: w.ca.Pool(), ServerName: "gw.test"}
	if kind != "" {
		issuer := w.ca
		if kind == "foreign" {
			issuer = pki.New(time.Now(), "Foreign")
		}
		cfg.Certificates = []tls.Certificate{issuer.Issue(pki.Options{Names: strings.Split(names, ",")}).TLS}
	}
	tc := tls.Client(s.Conn, cfg)
	if err := tc.Handshake(); err != nil {
		w.t.Fatal(fmt.Errorf("handshake: %w", err))
	}
	s.Conn, s.in = tc, bufio.NewReader(tc)
	say(s, "EHLO c.test")
}
