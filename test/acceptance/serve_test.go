package acceptance

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/partner"
)

func TestTheConfigurationIsCheckedShownAndExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	w.postern("config", "check")
	shown := w.postern("config", "show")
	again := filepath.Join(w.dir, "again.toml")
	if err := os.WriteFile(again, []byte(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	w.postern("config", "check", "--config", again)
	if twice := w.postern("config", "show", "--config", again); twice != shown {
		t.Errorf("what config show prints means something else:\n%s\n---\n%s", shown, twice)
	}
	example := w.postern("config", "example")
	w.write("example.toml", []byte(example))
	w.postern("config", "check", "--config", filepath.Join(w.dir, "example.toml"))
	w.write("empty.toml", nil)
	empty := w.postern("config", "show", "--config", filepath.Join(w.dir, "empty.toml"))
	if got := w.postern("config", "show", "--config", filepath.Join(w.dir, "example.toml")); got != empty {
		t.Errorf("the example means something else than an empty file:\n%s\n---\n%s", got, empty)
	}

	for text, wanted := range map[string][]string{
		"hostname = \"gw.home.test\"\ncolour = 1\n[limits]\nrecipients = \"many\"\n": {"bad.toml:2:", "colour", "bad.toml:4:"},
		"[[listen]]\nmode = \"smtpd\"\n":                                             {"bad.toml:2:", "smtps", "submission"},
		"[delivery]\nretry = [\"soon\"]\n":                                           {"bad.toml:2:", "soon"},
		"[tls]\ncertificates = [{ cert = \"no.pem\", key = \"no.key\" }]\n":          {"no.pem"},
		"hostname = \"gw\n": {"bad.toml:1:"},
	} {
		path := w.write("bad.toml", []byte(text))
		a := w.run("", "config", "check", "--config", path)
		for _, part := range wanted {
			if a.code != 1 || !strings.Contains(a.stderr, part) {
				t.Errorf("%q: exit code %d, no %q in:\n%s", text, a.code, part, a.stderr)
			}
		}
		if a := w.run("", "serve", "--config", path); a.code != 3 || a.stderr == "" {
			t.Errorf("serve with %q: exit code %d\n%s", text, a.code, a.stderr)
		}
	}
	if a := w.run("", "serve", "--config", "/nonexistent.toml"); a.code != 3 || !strings.Contains(a.stderr, "hint:") {
		t.Errorf("serve without a file: %+v", a)
	}
	if a := w.run("", "queue", "list"); a.code != 3 || !strings.Contains(a.stderr, "postern serve") {
		t.Errorf("queue list without a gateway: %+v", a)
	}
	if a := w.run("", "quue"); a.code != 2 || !strings.Contains(a.stderr, "hint:") {
		t.Errorf("a verb that is none: %+v", a)
	}
}

func TestASecondGatewayOnTheSameDataRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("")
	first := w.addr
	w.addr = freeAddress(t)
	w.configure()
	second := w.launch()
	select {
	case <-second.ended:
	case <-time.After(patience):
		_ = second.cmd.Process.Kill()
		t.Fatal("a second gateway runs on the same data")
	}
	if code := second.cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(w.log(), "another gateway uses the data folder") {
		t.Errorf("exit code %d", code)
	}
	w.addr = first
	w.configure()
	w.send("anna@home.test", "the first works on", "anna@home.test")
	w.await("anna@home.test", in("delivered"))
}

func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings["admin.listen"] = fmt.Sprintf("%q", freeAddress(t))
	slow := w.domain("slow.test", w.good("mx.slow.test"))
	w.start("")
	if body := w.get("/healthz", http.StatusOK); body == "" {
		t.Error("healthz says nothing")
	}
	w.get("/readyz", http.StatusOK)

	idle := w.connect("")
	busy := w.connect("")
	busy.say("EHLO mail.home.test", "250")
	busy.say("MAIL FROM:<anna@home.test>", "250")
	busy.say("RCPT TO:<a@slow.test>", "250")
	busy.say("DATA", "354")
	busy.raw("Subject: last\r\n\r\nlast")
	w.signal(syscall.SIGTERM)
	idle.wants("421")
	if c, err := net.DialTimeout("tcp", w.addr, time.Second); err == nil {
		c.Close()
		t.Error("new connections are taken while the gateway stops")
	}
	busy.raw(" words\r\n")
	busy.say(".", "250")
	select {
	case <-w.process.ended:
	case <-time.After(patience):
		t.Fatal("the gateway does not stop")
	}
	if code := w.process.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.serve()
	eventually(t, patience, "what was answered 250 arrives", func() bool { return len(bodies(slow, "last words")) == 1 })
}

func TestSIGHUPReadsTheConfigurationAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("")
	refused := func() bool {
		c := w.connect(stranger)
		defer c.conn.Close()
		c.say("EHLO far.example", "250")
		c.say("MAIL FROM:<x@far.example>", "250")
		c.raw("RCPT TO:<a@branch.test>\r\n")
		return strings.HasPrefix(c.read(), "550")
	}
	if !refused() {
		t.Fatal("the domain is served before it is configured")
	}
	w.partner("mail.branch.test", w.good("mail.branch.test"))
	w.own("branch.test", "mail.branch.test", "ca.pem")
	good := w.config()

	w.write("postern.toml", []byte(good+"\nnonsense = \n"))
	w.signal(syscall.SIGHUP)
	eventually(t, patience, "the gateway says that the file is broken", func() bool { return strings.Contains(w.log(), "stays in force") })
	if !refused() {
		t.Error("a broken file changed something")
	}
	w.send("anna@home.test", "in spite of it", "anna@home.test")
	w.configure()
	w.signal(syscall.SIGHUP)
	eventually(t, patience, "the new domain is served", func() bool { return !refused() })
	w.send("anna@home.test", "to the branch", "a@branch.test")
	w.await("a@branch.test", in("delivered")).want(t, map[string]string{"reached": "authenticated"})
	for range 50 {
		w.signal(syscall.SIGHUP)
	}
	w.send("anna@home.test", "after the storm", "b@branch.test")
	w.await("b@branch.test", in("delivered"))
}

func TestFiguresAndLogTellNoContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings["admin.listen"] = fmt.Sprintf("%q", freeAddress(t))
	w.domain("shop.test", partner.Behaviour{})
	refusing := w.good("mx.refused.test")
	refusing.Replies = loadRefusal
	w.domain("refused.test", refusing)
	w.start("")
	w.send("anna@home.test", "the-secret-itself", "bob@shop.test")
	w.send("anna@home.test", "the-secret-itself", "bob@refused.test")
	w.await("bob@shop.test", in("delivered"))
	w.await("bob@refused.test", in("failed")).want(t, map[string]string{"reason": "remote-5xx", "status": "5.1.1"})
	figures := w.get("/metrics", http.StatusOK)
	for _, part := range []string{"postern_", `state="delivered"`, "plaintext", "remote-5xx"} {
		if !strings.Contains(figures, part) {
			t.Errorf("no %q in the figures:\n%s", part, figures)
		}
	}
	if log := w.log(); strings.Contains(log, "the-secret-itself") || !strings.Contains(log, "bob@shop.test") {
		t.Errorf("the log holds content or lacks the delivery:\n%s", log)
	}
	w.get("/queue", http.StatusNotFound)
}

func TestTheCertificateIsChosenByNameAndReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.certificate("other", "other.home.test")
	w.settings["tls.certificates"] = `[{ cert = "gw.pem", key = "gw.key" }, { cert = "other.pem", key = "other.key" }]`
	w.start("")
	shown := func(name string) *x509.Certificate {
		c := w.connect("")
		defer c.conn.Close()
		c.say("EHLO mail.home.test", "250")
		state := c.startTLS(&tls.Config{ServerName: name, InsecureSkipVerify: true})
		return state.PeerCertificates[0]
	}
	for name, want := range map[string]string{"gw.home.test": "gw.home.test", "other.home.test": "other.home.test", "": "gw.home.test", "none.test": "gw.home.test"} {
		if got := shown(name).DNSNames; len(got) != 1 || got[0] != want {
			t.Errorf("asked for %q: %q", name, got)
		}
	}
	old := shown("gw.home.test")
	w.write("gw.key", []byte("broken"))
	time.Sleep(1500 * time.Millisecond)
	if !shown("gw.home.test").Equal(old) {
		t.Error("a broken key changed the certificate")
	}
	w.certificate("gw", "gw.home.test")
	eventually(t, patience, "the new certificate is shown", func() bool { return !shown("gw.home.test").Equal(old) })
}

func TestTheTraceHasItsStableFieldsAndFindsMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.domain("clinic.test", w.good("mx.clinic.test"))
	w.domain("bank.test", w.expired("mx.bank.test"))
	w.start(force("both", `"clinic.test", "bank.test"`, `defer = "30s"`))
	id := w.send("anna@home.test", "to be found", "dr@clinic.test")
	w.send("ben@home.test", "to be found too", "desk@bank.test")
	done := w.await("dr@clinic.test", in("delivered"))
	w.await("desk@bank.test", waits("cert-expired"))
	var object map[string]any
	if err := json.Unmarshal([]byte(done.raw), &object); err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields("message message_id from to state rule requires reached reason mx ip tls_version cipher bits group " +
		"cert_subject cert_issuer cert_not_after cert_sha256 attempts accepted_at expires_at next_attempt_at finished_at inbound_tls") {
		if _, ok := object[field]; !ok {
			t.Errorf("no field %s in %s", field, done.raw)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--sender", "anna@home.test"}, "dr@clinic.test"}, {[]string{"--recipient", "*@bank.test"}, "desk@bank.test"},
		{[]string{"--message", id}, "dr@clinic.test"}, {[]string{"--message-id", done.MessageID}, "dr@clinic.test"},
		{[]string{"--state", "queued"}, "desk@bank.test"}, {[]string{"--reason", "cert-expired"}, "desk@bank.test"},
		{[]string{"--rule", "both", "--state", "delivered"}, "dr@clinic.test"},
		{[]string{"--since", "1h", "--sender", "BEN@home.test"}, "desk@bank.test"}, {[]string{"--until", "1h"}, ""},
		{[]string{"--sender", "nobody@home.test"}, ""},
	} {
		got := ""
		for _, tr := range w.traces(append([]string{"trace"}, c.args...)...) {
			got += tr.To
		}
		if got != c.want {
			t.Errorf("trace %q found %q, want %q", c.args, got, c.want)
		}
	}
	long := w.postern("trace", "--recipient", "desk@bank.test", "--long")
	for _, part := range []string{"cert-expired", "mx.bank.test", "Expected", "Presented", "Hint", "both"} {
		if !strings.Contains(long, part) {
			t.Errorf("no %q in the long trace:\n%s", part, long)
		}
	}
}
