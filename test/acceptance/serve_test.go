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
	"postern/test/harness"
)

func TestTheConfigurationIsCheckedShownAndExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Configure()
	w.Postern("config", "check")
	shown := w.Postern("config", "show")
	again := filepath.Join(w.Dir, "again.toml")
	if err := os.WriteFile(again, []byte(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Postern("config", "check", "--config", again)
	if twice := w.Postern("config", "show", "--config", again); twice != shown {
		t.Errorf("what config show prints means something else:\n%s\n---\n%s", shown, twice)
	}
	example := w.Postern("config", "example")
	w.Write("example.toml", []byte(example))
	w.Postern("config", "check", "--config", filepath.Join(w.Dir, "example.toml"))
	w.Write("empty.toml", nil)
	empty := w.Postern("config", "show", "--config", filepath.Join(w.Dir, "empty.toml"))
	if got := w.Postern("config", "show", "--config", filepath.Join(w.Dir, "example.toml")); got != empty {
		t.Errorf("the example means something else than an empty file:\n%s\n---\n%s", got, empty)
	}

	for text, wanted := range map[string][]string{
		"hostname = \"gw.home.test\"\ncolour = 1\n[limits]\nrecipients = \"many\"\n": {"bad.toml:2:", "colour", "bad.toml:4:"},
		"[[listen]]\nmode = \"smtpd\"\n":                                             {"bad.toml:2:", "smtps", "submission"},
		"[delivery]\nretry = [\"soon\"]\n":                                           {"bad.toml:2:", "soon"},
		"[tls]\ncertificates = [{ cert = \"no.pem\", key = \"no.key\" }]\n":          {"no.pem"},
		"hostname = \"gw\n": {"bad.toml:1:"},
	} {
		path := w.Write("bad.toml", []byte(text))
		a := w.Run("", "config", "check", "--config", path)
		for _, part := range wanted {
			if a.Code != 1 || !strings.Contains(a.Stderr, part) {
				t.Errorf("%q: exit code %d, no %q in:\n%s", text, a.Code, part, a.Stderr)
			}
		}
		if a := w.Run("", "serve", "--config", path); a.Code != 78 || a.Stderr == "" {
			t.Errorf("serve with %q: exit code %d\n%s", text, a.Code, a.Stderr)
		}
	}
	if a := w.Run("", "serve", "--config", "/nonexistent.toml"); a.Code != 78 || !strings.Contains(a.Stderr, "hint:") {
		t.Errorf("serve without a file: %+v", a)
	}
	if a := w.Run("", "queue", "list"); a.Code != 3 || !strings.Contains(a.Stderr, "postern serve") {
		t.Errorf("queue list without a gateway: %+v", a)
	}
	if a := w.Run("", "quue"); a.Code != 2 || !strings.Contains(a.Stderr, "hint:") {
		t.Errorf("a verb that is none: %+v", a)
	}
}

func TestASecondGatewayOnTheSameDataRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	first := w.Addr
	w.Addr = harness.FreeAddress(t)
	w.Configure()
	second := w.Launch()
	select {
	case <-second.Ended:
	case <-time.After(harness.Patience):
		_ = second.Cmd.Process.Kill()
		t.Fatal("a second gateway runs on the same data")
	}
	if code := second.Cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(w.Log(), "another gateway uses the data folder") {
		t.Errorf("exit code %d", code)
	}
	w.Addr = first
	w.Configure()
	w.Send("anna@home.test", "the first works on", "anna@home.test")
	w.Await("anna@home.test", harness.In("delivered"))
}

func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(t))
	slow := w.Domain("slow.test", w.Good("mx.slow.test"))
	w.Start("")
	if body := w.Get("/healthz", http.StatusOK); body == "" {
		t.Error("healthz says nothing")
	}
	w.Get("/readyz", http.StatusOK)

	idle := w.Connect("")
	busy := w.Connect("")
	busy.Say("EHLO mail.home.test", "250")
	busy.Say("MAIL FROM:<anna@home.test>", "250")
	busy.Say("RCPT TO:<a@slow.test>", "250")
	busy.Say("DATA", "354")
	busy.Raw("Subject: last\r\n\r\nlast")
	w.Signal(syscall.SIGTERM)
	idle.Wants("421")
	if c, err := net.DialTimeout("tcp", w.Addr, time.Second); err == nil {
		c.Close()
		t.Error("new connections are taken while the gateway stops")
	}
	busy.Raw(" words\r\n")
	busy.Say(".", "250")
	select {
	case <-w.Process.Ended:
	case <-time.After(harness.Patience):
		t.Fatal("the gateway does not stop")
	}
	if code := w.Process.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.Serve()
	harness.Eventually(t, harness.Patience, "what was answered 250 arrives", func() bool { return len(harness.Bodies(slow, "last words")) == 1 })
}

func TestSIGHUPReadsTheConfigurationAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	refused := func() bool {
		c := w.Connect(harness.Stranger)
		defer c.Conn.Close()
		c.Say("EHLO far.example", "250")
		c.Say("MAIL FROM:<x@far.example>", "250")
		c.Raw("RCPT TO:<a@branch.test>\r\n")
		return strings.HasPrefix(c.Read(), "550")
	}
	if !refused() {
		t.Fatal("the domain is served before it is configured")
	}
	w.Partner("mail.branch.test", w.Good("mail.branch.test"))
	w.Own("branch.test", "mail.branch.test", "ca.pem")
	good := w.Config()

	w.Write("postern.toml", []byte(good+"\nnonsense = \n"))
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, harness.Patience, "the gateway says that the file is broken", func() bool { return strings.Contains(w.Log(), "stays in force") })
	if !refused() {
		t.Error("a broken file changed something")
	}
	w.Send("anna@home.test", "in spite of it", "anna@home.test")
	w.Configure()
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, harness.Patience, "the new domain is served", func() bool { return !refused() })
	w.Send("anna@home.test", "to the branch", "a@branch.test")
	w.Await("a@branch.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
	for range 50 {
		w.Signal(syscall.SIGHUP)
	}
	w.Send("anna@home.test", "after the storm", "b@branch.test")
	w.Await("b@branch.test", harness.In("delivered"))
}

func TestFiguresAndLogTellNoContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(t))
	w.Domain("shop.test", partner.Behaviour{})
	w.Domain("refused.test", w.Refuses("mx.refused.test"))
	w.Start("")
	w.Send("anna@home.test", "the-secret-itself", "bob@shop.test")
	w.Send("anna@home.test", "the-secret-itself", "bob@refused.test")
	w.Await("bob@shop.test", harness.In("delivered"))
	w.Await("bob@refused.test", harness.In("failed")).Want(t, map[string]string{"reason": "remote-5xx", "status": "5.1.1"})
	figures := w.Get("/metrics", http.StatusOK)
	for _, part := range []string{"postern_", `state="delivered"`, "plaintext", "remote-5xx"} {
		if !strings.Contains(figures, part) {
			t.Errorf("no %q in the figures:\n%s", part, figures)
		}
	}
	if log := w.Log(); strings.Contains(log, "the-secret-itself") || !strings.Contains(log, "bob@shop.test") {
		t.Errorf("the log holds content or lacks the delivery:\n%s", log)
	}
	if page := w.Get("/queue", http.StatusOK); !strings.Contains(page, "Sign in") || strings.Contains(page, "bob@") {
		t.Errorf("whoever is not known sees\n%s", page)
	}
	if answer := w.Get("/api/v1/deliveries", http.StatusUnauthorized); strings.Contains(answer, "bob@") {
		t.Errorf("whoever shows no token hears\n%s", answer)
	}
}

func TestTheCertificateIsChosenByNameAndReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Certificate("other", "other.home.test")
	w.Settings["tls.certificates"] = `[{ cert = "gw.pem", key = "gw.key" }, { cert = "other.pem", key = "other.key" }]`
	w.Start("")
	shown := func(name string) *x509.Certificate {
		c := w.Connect("")
		defer c.Conn.Close()
		c.Say("EHLO mail.home.test", "250")
		state := c.StartTLS(&tls.Config{ServerName: name, InsecureSkipVerify: true})
		return state.PeerCertificates[0]
	}
	for name, want := range map[string]string{"gw.home.test": "gw.home.test", "other.home.test": "other.home.test", "": "gw.home.test", "none.test": "gw.home.test"} {
		if got := shown(name).DNSNames; len(got) != 1 || got[0] != want {
			t.Errorf("asked for %q: %q", name, got)
		}
	}
	old := shown("gw.home.test")
	w.Write("gw.key", []byte("broken"))
	time.Sleep(1500 * time.Millisecond)
	if !shown("gw.home.test").Equal(old) {
		t.Error("a broken key changed the certificate")
	}
	w.Certificate("gw", "gw.home.test")
	harness.Eventually(t, harness.Patience, "the new certificate is shown", func() bool { return !shown("gw.home.test").Equal(old) })
}

func TestTheTraceHasItsStableFieldsAndFindsMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	w.Domain("bank.test", w.Expired("mx.bank.test"))
	w.Start(harness.Force("both", `"clinic.test", "bank.test"`, `defer = "30s"`))
	id := w.Send("anna@home.test", "to be found", "dr@clinic.test")
	w.Send("ben@home.test", "to be found too", "desk@bank.test")
	done := w.Await("dr@clinic.test", harness.In("delivered"))
	w.Await("desk@bank.test", harness.Waits("cert-expired"))
	var object map[string]any
	if err := json.Unmarshal([]byte(done.Raw), &object); err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields("message message_id from to state rule requires reached reason mx ip tls_version cipher bits group " +
		"cert_subject cert_issuer cert_not_after cert_sha256 attempts accepted_at expires_at next_attempt_at finished_at inbound_tls") {
		if _, ok := object[field]; !ok {
			t.Errorf("no field %s in %s", field, done.Raw)
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
		harness.Eventually(t, harness.Patience, fmt.Sprintf("trace %q finds %q", c.args, c.want), func() bool { // it is being tried at times
			got := ""
			for _, tr := range w.Traces(append([]string{"trace"}, c.args...)...) {
				got += tr.To
			}
			return got == c.want
		})
	}
	long := w.Postern("trace", "--recipient", "desk@bank.test", "--long")
	for _, part := range []string{"cert-expired", "mx.bank.test", "Expected", "Presented", "Hint", "both"} {
		if !strings.Contains(long, part) {
			t.Errorf("no %q in the long trace:\n%s", part, long)
		}
	}
}
