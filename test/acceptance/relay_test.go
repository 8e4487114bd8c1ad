package acceptance

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
)

func TestStrangersCannotRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := w.Domain("victim.test", w.Good("mx.victim.test"))
	w.Start("")
	for _, to := range []string{
		"<x@victim.test>", "x@victim.test", "<x%victim.test@home.test>", "<x%victim.test>", "<victim.test!x>", "<victim.test!x@home.test>",
		"<@home.test:x@victim.test>", `<"x@victim.test">`, `<"x@victim.test"@home.test>`, `<"x%victim.test"@home.test>`,
		"<x@victim.test@home.test>", "<x@[127.0.0.1]>", "<x@home.test.victim.test>", "<@victim.test>", "<x@victim.test.>",
		"<x@sub.home.test>", "<x@VICTIM.TEST>",
	} {
		for _, from := range []string{"<spam@far.example>", "<anna@home.test>", "<>"} {
			c := w.Connect(harness.Stranger)
			c.Say("EHLO far.example", "250")
			c.Say("MAIL FROM:"+from, "250")
			c.Say("RCPT TO:"+to, "5")
			c.Say("DATA", "5")
			c.Conn.Close()
		}
	}
	// The world may write to the organisation itself, and its postmaster is there.
	for _, to := range []string{"<anna@home.test>", "<Anna@HOME.test.>", "<anna+tag@home.test>", "<postmaster@home.test>"} {
		c := w.Connect(harness.Stranger)
		c.Say("EHLO far.example", "250")
		c.Say("MAIL FROM:<friend@far.example>", "250")
		c.Say("RCPT TO:"+to, "250")
		c.Conn.Close()
	}
	if n := len(victim.Commands()); n != 0 {
		t.Errorf("the victim heard %d commands", n)
	}
}

func plain(user, password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
}

func TestSubmissionNeedsTLSAndAPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.Domain("shop.test", w.Good("mx.shop.test"))
	hash := w.Run("correct horse\n", "config", "hash-password")
	if hash.Code != 0 || strings.Contains(hash.Stdout, "horse") {
		t.Fatalf("hash-password: %+v", hash)
	}
	submission, smtps := harness.FreeAddress(t), harness.FreeAddress(t)
	w.More = append(w.More,
		"[[listen]]\nname = \"people\"\nmode = \"submission\"\naddress = \""+submission+"\"\n",
		"[[listen]]\nname = \"implicit\"\nmode = \"smtps\"\nauth = true\naddress = \""+smtps+"\"\n",
		"[[user]]\nname = \"anna\"\npassword_hash = \""+strings.TrimSpace(hash.Stdout)+"\"\n")
	w.Start("")

	c := harness.Dial(t, submission, harness.Stranger)
	c.Wants("220")
	if reply := c.Say("EHLO laptop.example", "250"); strings.Contains(reply, "AUTH") {
		t.Errorf("AUTH is offered before TLS:\n%s", reply)
	}
	c.Say("MAIL FROM:<anna@home.test>", "530 5.7.0")
	c.Say(plain("anna", "correct horse"), "5")
	c.StartTLS(nil)
	if reply := c.Say("EHLO laptop.example", "250"); !strings.Contains(reply, "AUTH PLAIN LOGIN") {
		t.Errorf("AUTH is not offered:\n%s", reply)
	}
	c.Say("MAIL FROM:<anna@home.test>", "530")
	c.Say(plain("anna", "bad staple"), "535")
	c.Say(plain("anna", "correct horse"), "235")
	c.Transaction("anna@home.test", []string{"bob@shop.test"}, harness.Message("anna@home.test", []string{"bob@shop.test"}, "by submission"))
	harness.Eventually(t, harness.Patience, "it is relayed", func() bool { return len(harness.Bodies(shop, "by submission")) == 1 })
	if got := harness.Bodies(shop, "by submission")[0].Data; !strings.Contains(got, "with ESMTPSA") {
		t.Errorf("the stamp does not tell of the login:\n%s", got)
	}

	c = harness.Dial(t, smtps, harness.Stranger)
	c.Shake(&tls.Config{ServerName: "gw.home.test", RootCAs: w.CA.Pool()})
	c.Wants("220")
	c.Say("EHLO laptop.example", "250")
	c.Say("AUTH LOGIN", "334")
	c.Say(base64.StdEncoding.EncodeToString([]byte("anna")), "334")
	c.Say(base64.StdEncoding.EncodeToString([]byte("correct horse")), "235")
	c.Transaction("anna@home.test", []string{"bob@shop.test"}, harness.Message("anna@home.test", []string{"bob@shop.test"}, "by smtps"))
	harness.Eventually(t, harness.Patience, "it is relayed", func() bool { return len(harness.Bodies(shop, "by smtps")) == 1 })
	for _, secret := range []string{"correct horse", "bad staple", base64.StdEncoding.EncodeToString([]byte("correct horse")), "argon2id"} {
		if strings.Contains(w.Log(), secret) || strings.Contains(w.Postern("config", "show"), secret) {
			t.Errorf("%q stands in the log or in config show", secret)
		}
	}
}

// tickets is a client's memory of TLS sessions that counts what it is given.
type tickets struct{ given int }

func (c *tickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c *tickets) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.given++
	}
}

func TestNoListenerGivesSessionTickets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hash := strings.TrimSpace(w.Run("x\n", "config", "hash-password").Stdout)
	submission, smtps := harness.FreeAddress(t), harness.FreeAddress(t)
	w.More = append(w.More,
		"[[listen]]\nname = \"people\"\nmode = \"submission\"\naddress = \""+submission+"\"\n",
		"[[listen]]\nname = \"implicit\"\nmode = \"smtps\"\naddress = \""+smtps+"\"\n",
		"[[user]]\nname = \"anna\"\npassword_hash = \""+hash+"\"\n")
	w.Start("")
	for _, address := range []string{w.Addr, submission, smtps} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			seen := &tickets{}
			cfg := &tls.Config{InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: seen, ServerName: "gw.home.test"}
			c := harness.Dial(t, address, "")
			if address == smtps {
				c.Shake(cfg)
				c.Wants("220")
			} else {
				c.Wants("220")
				c.Say("EHLO a.test", "250")
				if reply := c.Say("STARTTLS", "220"); reply != "220 2.0.0 Ready to start TLS\r\n" {
					t.Errorf("STARTTLS is answered %q", reply)
				}
				c.Shake(cfg)
			}
			c.Say("EHLO a.test", "250")
			c.Say("QUIT", "221")
			if seen.given != 0 {
				t.Errorf("%s, version %#x: %d tickets", address, version, seen.given)
			}
		}
	}
}

func TestAClientCertificateMayRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.Domain("shop.test", w.Good("mx.shop.test"))
	clients := pki.New(w.Now, "Clients")
	w.Write("clients.pem", clients.RootPEM())
	w.Settings["relay.client_certificates"] = `"clients.pem"`
	w.Start("")
	ours := clients.Issue(pki.Options{Names: []string{"app.home.test"}}).TLS
	theirs := w.CA.Issue(pki.Options{Names: []string{"app.home.test"}}).TLS
	for _, c := range []struct {
		name  string
		certs []tls.Certificate
		reply string
	}{{"ours", []tls.Certificate{ours}, "250"}, {"another CA's", []tls.Certificate{theirs}, "550 5.7.1"}, {"none", nil, "550 5.7.1"}} {
		s := w.Connect(harness.Stranger)
		s.Say("EHLO app.home.test", "250")
		s.StartTLS(&tls.Config{InsecureSkipVerify: true, Certificates: c.certs})
		s.Say("EHLO app.home.test", "250")
		s.Say("MAIL FROM:<app@home.test>", "250")
		s.Say("RCPT TO:<bob@shop.test>", c.reply)
		if c.reply != "250" {
			continue
		}
		s.Say("DATA", "354")
		s.Raw("Subject: by certificate\r\n\r\nby certificate\r\n")
		s.Say(".", "250")
	}
	harness.Eventually(t, harness.Patience, "it is relayed", func() bool { return len(shop.Messages()) == 1 })
	if got := unfold(shop.Messages()[0].Data); !strings.Contains(got, `Client CN "app.home.test"`) {
		t.Errorf("the stamp does not tell of the certificate:\n%s", got)
	}
}

func TestTheStampTellsHowMailCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	forged := "Received: from bank.test by gw.home.test (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)) with ESMTPS\r\n"
	for _, c := range []struct {
		name        string
		tls         *tls.Config
		to          []string
		hello       string
		has, hasNot []string
	}{
		{"tls13", &tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}}, []string{"anna@home.test"}, "EHLO",
			[]string{"using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)", "key-exchange X25519", "server-signature ECDSA",
				"with ESMTPS id ", "for <anna@home.test>", "by gw.home.test", "[127.0.0.1]"}, nil},
		{"tls12", &tls.Config{MaxVersion: tls.VersionTLS12}, []string{"anna@home.test", "ben@home.test"}, "EHLO",
			[]string{"using TLSv1.2 with cipher ECDHE-ECDSA-AES128-GCM-SHA256 (128/128 bits)", "with ESMTPS id "}, []string{"for <"}},
		{"clear", nil, []string{"anna@home.test"}, "EHLO", []string{"with ESMTP id "}, []string{"using TLS", "ESMTPS"}},
		{"old", nil, []string{"anna@home.test"}, "HELO", []string{"with SMTP id "}, []string{"ESMTP"}},
	} {
		s := w.Connect("")
		s.Say(c.hello+" mail.home.test", "250")
		if c.tls != nil {
			c.tls.InsecureSkipVerify = true
			s.StartTLS(c.tls)
			s.Say("EHLO mail.home.test", "250")
		}
		id := s.Transaction("anna@home.test", c.to, forged+harness.Message("anna@home.test", c.to, "stamp "+c.name))
		harness.Eventually(t, harness.Patience, c.name+" arrives", func() bool { return len(harness.Bodies(w.Home(), "stamp "+c.name)) > 0 })
		stamp, rest, _ := strings.Cut(harness.Bodies(w.Home(), "stamp "+c.name)[0].Data, "\r\nReceived: from bank.test")
		stamp = unfold(stamp)
		if rest == "" || !strings.HasPrefix(stamp, "Received: from mail.home.test") || strings.Count(stamp, "Received:") != 1 {
			t.Errorf("%s: the stamp is not one line above the others:\n%s", c.name, stamp)
		}
		for _, part := range append(c.has, id) {
			if !strings.Contains(stamp, part) {
				t.Errorf("%s: no %q in %s", c.name, part, stamp)
			}
		}
		for _, part := range c.hasNot {
			if strings.Contains(stamp, part) {
				t.Errorf("%s: %q in %s", c.name, part, stamp)
			}
		}
		in := w.Traces("trace", "--message", id)[0].InboundTLS
		var facts struct {
			Version string `json:"version"`
		}
		if err := json.Unmarshal(in, &facts); err != nil || (c.tls != nil) != (facts.Version != "") {
			t.Errorf("%s: the trace says of the inbound hop %s, %v", c.name, in, err)
		}
	}
}

func TestALoopIsBroken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Say("MAIL FROM:<anna@home.test>", "250")
	c.Say("RCPT TO:<anna@home.test>", "250")
	c.Say("DATA", "354")
	c.Raw(strings.Repeat("Received: from a by b; Mon, 23 Nov 2026 12:00:00 +0000\r\n", 60) + "Subject: round\r\n\r\nround\r\n")
	c.Say(".", "554 5.4.6")
	c.Say("NOOP", "250")
}

func TestForeignClientsGetThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("shop.test", partner.Behaviour{})
	w.Start("")
	if path, err := exec.LookPath("openssl"); err == nil {
		cmd := exec.Command(path, "s_client", "-starttls", "smtp", "-connect", w.Addr, "-servername", "gw.home.test", "-CAfile", w.Dir+"/ca.pem",
			"-verify_return_error", "-quiet", "-crlf")
		cmd.Stdin = strings.NewReader("EHLO openssl.example\nQUIT\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "221 ") {
			t.Errorf("openssl: %v\n%s", err, out)
		}
	}
	if path, err := exec.LookPath("swaks"); err == nil {
		cmd := exec.Command(path, "--server", w.Addr, "--from", "anna@home.test", "--to", "bob@shop.test", "--tls", "--pipeline", "--body", "by swaks")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("swaks: %v\n%s", err, out)
		}
		w.Await("bob@shop.test", harness.In("delivered"))
	}
}
