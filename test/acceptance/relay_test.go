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
)

func TestStrangersCannotRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := w.domain("victim.test", w.good("mx.victim.test"))
	w.start("")
	for _, to := range []string{
		"<x@victim.test>", "x@victim.test", "<x%victim.test@home.test>", "<x%victim.test>", "<victim.test!x>", "<victim.test!x@home.test>",
		"<@home.test:x@victim.test>", `<"x@victim.test">`, `<"x@victim.test"@home.test>`, `<"x%victim.test"@home.test>`,
		"<x@victim.test@home.test>", "<x@[127.0.0.1]>", "<x@home.test.victim.test>", "<@victim.test>", "<x@victim.test.>",
		"<x@sub.home.test>", "<x@VICTIM.TEST>",
	} {
		for _, from := range []string{"<spam@far.example>", "<anna@home.test>", "<>"} {
			c := w.connect(stranger)
			c.say("EHLO far.example", "250")
			c.say("MAIL FROM:"+from, "250")
			c.say("RCPT TO:"+to, "5")
			c.say("DATA", "5")
			c.conn.Close()
		}
	}
	// The world may write to the organisation itself, and its postmaster is there.
	for _, to := range []string{"<anna@home.test>", "<Anna@HOME.test.>", "<anna+tag@home.test>", "<postmaster@home.test>"} {
		c := w.connect(stranger)
		c.say("EHLO far.example", "250")
		c.say("MAIL FROM:<friend@far.example>", "250")
		c.say("RCPT TO:"+to, "250")
		c.conn.Close()
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
	shop := w.domain("shop.test", w.good("mx.shop.test"))
	hash := w.run("correct horse\n", "config", "hash-password")
	if hash.code != 0 || strings.Contains(hash.stdout, "horse") {
		t.Fatalf("hash-password: %+v", hash)
	}
	submission, smtps := freeAddress(t), freeAddress(t)
	w.more = append(w.more,
		"[[listen]]\nname = \"people\"\nmode = \"submission\"\naddress = \""+submission+"\"\n",
		"[[listen]]\nname = \"implicit\"\nmode = \"smtps\"\nauth = true\naddress = \""+smtps+"\"\n",
		"[[user]]\nname = \"anna\"\npassword_hash = \""+strings.TrimSpace(hash.stdout)+"\"\n")
	w.start("")

	c := dial(t, submission, stranger)
	c.wants("220")
	if reply := c.say("EHLO laptop.example", "250"); strings.Contains(reply, "AUTH") {
		t.Errorf("AUTH is offered before TLS:\n%s", reply)
	}
	c.say("MAIL FROM:<anna@home.test>", "530 5.7.0")
	c.say(plain("anna", "correct horse"), "5")
	c.startTLS(nil)
	if reply := c.say("EHLO laptop.example", "250"); !strings.Contains(reply, "AUTH PLAIN LOGIN") {
		t.Errorf("AUTH is not offered:\n%s", reply)
	}
	c.say("MAIL FROM:<anna@home.test>", "530")
	c.say(plain("anna", "bad staple"), "535")
	c.say(plain("anna", "correct horse"), "235")
	c.transaction("anna@home.test", []string{"bob@shop.test"}, message("anna@home.test", []string{"bob@shop.test"}, "by submission"))
	eventually(t, patience, "it is relayed", func() bool { return len(bodies(shop, "by submission")) == 1 })
	if got := bodies(shop, "by submission")[0].Data; !strings.Contains(got, "with ESMTPSA") {
		t.Errorf("the stamp does not tell of the login:\n%s", got)
	}

	c = dial(t, smtps, stranger)
	c.shake(&tls.Config{ServerName: "gw.home.test", RootCAs: w.ca.Pool()})
	c.wants("220")
	c.say("EHLO laptop.example", "250")
	c.say("AUTH LOGIN", "334")
	c.say(base64.StdEncoding.EncodeToString([]byte("anna")), "334")
	c.say(base64.StdEncoding.EncodeToString([]byte("correct horse")), "235")
	c.transaction("anna@home.test", []string{"bob@shop.test"}, message("anna@home.test", []string{"bob@shop.test"}, "by smtps"))
	eventually(t, patience, "it is relayed", func() bool { return len(bodies(shop, "by smtps")) == 1 })
	for _, secret := range []string{"correct horse", "bad staple", base64.StdEncoding.EncodeToString([]byte("correct horse")), "argon2id"} {
		if strings.Contains(w.log(), secret) || strings.Contains(w.postern("config", "show"), secret) {
			t.Errorf("%q stands in the log or in config show", secret)
		}
	}
}

func TestAClientCertificateMayRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.domain("shop.test", w.good("mx.shop.test"))
	clients := pki.New(w.now, "Clients")
	w.write("clients.pem", clients.RootPEM())
	w.settings["relay.client_certificates"] = `"clients.pem"`
	w.start("")
	ours := clients.Issue(pki.Options{Names: []string{"app.home.test"}}).TLS
	theirs := w.ca.Issue(pki.Options{Names: []string{"app.home.test"}}).TLS
	for _, c := range []struct {
		name  string
		certs []tls.Certificate
		reply string
	}{{"ours", []tls.Certificate{ours}, "250"}, {"another CA's", []tls.Certificate{theirs}, "550 5.7.1"}, {"none", nil, "550 5.7.1"}} {
		s := w.connect(stranger)
		s.say("EHLO app.home.test", "250")
		s.startTLS(&tls.Config{InsecureSkipVerify: true, Certificates: c.certs})
		s.say("EHLO app.home.test", "250")
		s.say("MAIL FROM:<app@home.test>", "250")
		s.say("RCPT TO:<bob@shop.test>", c.reply)
		if c.reply != "250" {
			continue
		}
		s.say("DATA", "354")
		s.raw("Subject: by certificate\r\n\r\nby certificate\r\n")
		s.say(".", "250")
	}
	eventually(t, patience, "it is relayed", func() bool { return len(shop.Messages()) == 1 })
	if got := unfold(shop.Messages()[0].Data); !strings.Contains(got, `Client CN "app.home.test"`) {
		t.Errorf("the stamp does not tell of the certificate:\n%s", got)
	}
}

func TestTheStampTellsHowMailCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("")
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
		s := w.connect("")
		s.say(c.hello+" mail.home.test", "250")
		if c.tls != nil {
			c.tls.InsecureSkipVerify = true
			s.startTLS(c.tls)
			s.say("EHLO mail.home.test", "250")
		}
		id := s.transaction("anna@home.test", c.to, forged+message("anna@home.test", c.to, "stamp "+c.name))
		eventually(t, patience, c.name+" arrives", func() bool { return len(bodies(w.home(), "stamp "+c.name)) > 0 })
		stamp, rest, _ := strings.Cut(bodies(w.home(), "stamp "+c.name)[0].Data, "\r\nReceived: from bank.test")
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
		in := w.traces("trace", "--message", id)[0].InboundTLS
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
	w.start("")
	c := w.connect("")
	c.say("EHLO mail.home.test", "250")
	c.say("MAIL FROM:<anna@home.test>", "250")
	c.say("RCPT TO:<anna@home.test>", "250")
	c.say("DATA", "354")
	c.raw(strings.Repeat("Received: from a by b; Mon, 23 Nov 2026 12:00:00 +0000\r\n", 60) + "Subject: round\r\n\r\nround\r\n")
	c.say(".", "554 5.4.6")
	c.say("NOOP", "250")
}

func TestForeignClientsGetThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.domain("shop.test", partner.Behaviour{})
	w.start("")
	if path, err := exec.LookPath("openssl"); err == nil {
		cmd := exec.Command(path, "s_client", "-starttls", "smtp", "-connect", w.addr, "-servername", "gw.home.test", "-CAfile", w.dir+"/ca.pem",
			"-verify_return_error", "-quiet", "-crlf")
		cmd.Stdin = strings.NewReader("EHLO openssl.example\nQUIT\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "221 ") {
			t.Errorf("openssl: %v\n%s", err, out)
		}
	}
	if path, err := exec.LookPath("swaks"); err == nil {
		cmd := exec.Command(path, "--server", w.addr, "--from", "anna@home.test", "--to", "bob@shop.test", "--tls", "--pipeline", "--body", "by swaks")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("swaks: %v\n%s", err, out)
		}
		w.await("bob@shop.test", in("delivered"))
	}
}
