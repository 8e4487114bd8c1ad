package acceptance

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

const requireTLS = "[[rule]]\nname = \"%s\"\nscope = \"inbound\"\naction = \"require-tls\"\n[rule.match]\n%s\n[rule.require_tls]\n%s\n"

// showing is a client's side of TLS with a certificate that has no usage clientAuth, as public CAs issue them.
func (w *world) showing(names ...string) *tls.Config {
	cert := w.CA.Issue(pki.Options{Names: names, EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}).TLS
	return &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }}
}

// open begins a session of a stranger, inside TLS where cfg is not nil.
func (w *world) open(cfg *tls.Config) *harness.Client {
	c := w.Connect(harness.Stranger)
	c.Say("EHLO mx.partner.test", "250")
	if cfg != nil {
		c.StartTLS(cfg)
		c.Say("EHLO mx.partner.test", "250")
	}
	return c
}

// TestAPartnersMailComesInAsARuleDemands: by the real gateway, what falls short is refused with what to do, told once
// and listed; what is right comes in, with a certificate for servers; a session that was open before a rule is held to
// it at its next MAIL, RCPT or final dot; explain says beforehand what becomes of it.
func TestAPartnersMailComesInAsARuleDemands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["admin.notify"] = `"boss@home.test"`
	smtps, balancer := harness.FreeAddress(t), harness.NewIP()
	w.More = append(w.More, fmt.Sprintf("[[listen]]\nmode = \"smtps\"\nname = \"implicit\"\naddress = %q\nproxy = [%q]\n", smtps, balancer+"/32"))
	plain := fmt.Sprintf(requireTLS, "plain", `sender = ["plain.test", "*.plain.test"]`, `refuse = "reject"`)
	proven := fmt.Sprintf(requireTLS, "proven", `sender = ["partner.test"]`, "level = \"authenticated\"\nrevocation = \"off\"")
	bounces := fmt.Sprintf(requireTLS, "bounces", "sender = [\"<>\"]\nsender_ip = [\"203.0.113.0/24\"]\nlistener = [\"implicit\"]",
		"level = \"authenticated\"\nrevocation = \"off\"\nnames = [\"mail.partner.test\"]")
	w.Start(plain + proven + bounces)
	to := []string{"anna@home.test"}
	letter := func(from, text string) string { return harness.Message(from, to, text) }

	// In the clear: refused, however the sender is spelled, pipelined or not.
	c := w.open(nil)
	reply := c.Say("MAIL FROM:<a@Plain.TEST>", "550-5.7.10 mail from plain.test is taken only over TLS 1.2 or newer")
	if !strings.Contains(reply, "say STARTTLS") || !strings.Contains(reply, "the reason is starttls-not-offered") {
		t.Errorf("%q", reply)
	}
	c.Raw("MAIL FROM:<\"a\"@deep.plain.test>\r\nRCPT TO:<anna@home.test>\r\nBDAT 5 LAST\r\nx: y\n")
	for _, want := range []string{"550", "503", "503"} {
		c.Wants(want)
	}
	c.Say("MAIL FROM:<a@other.test>", "250")
	c.Say("RSET", "250")
	c.Say("MAIL FROM:<a@plain.test>", "550")
	// In TLS it comes in.
	secure := w.open(&tls.Config{InsecureSkipVerify: true})
	secure.Transaction("a@plain.test", to, letter("a@plain.test", "over TLS"))
	// A certificate is asked for, and must name the sender's domain.
	secure.Say("MAIL FROM:<a@partner.test>", "451-4.7.5 mail from partner.test")
	wrong := w.open(w.showing("mail.other.test"))
	if reply := wrong.Say("MAIL FROM:<a@partner.test>", "451-4.7.5"); !strings.Contains(reply, "mail.other.test") {
		t.Errorf("%q does not say what was shown", reply)
	}
	right := w.open(w.showing("mail.partner.test"))
	right.Transaction("a@partner.test", to, letter("a@partner.test", "proven"))

	// Implicit TLS, behind a load balancer: the client's address counts, and bounces of the partner are known by it.
	bounce := func(client string, cfg *tls.Config) *harness.Client {
		c := harness.Dial(t, smtps, balancer)
		c.Raw(proxyHeader(2, client))
		c.Shake(cfg)
		c.Wants("220")
		c.Say("EHLO mx.partner.test", "250")
		return c
	}
	bounce("203.0.113.9", w.showing("mail.other.test")).Say("MAIL FROM:<>", "451-4.7.5 mail of the null sender from 203.0.113.9")
	bounce("203.0.113.9", w.showing("mail.partner.test")).Transaction("", to, letter("postmaster@partner.test", "bounced"))
	bounce("203.0.114.9", w.showing("mail.other.test")).Say("MAIL FROM:<>", "250")

	// Rules that come while sessions are open.
	early, late := w.open(nil), w.open(nil)
	early.Say("MAIL FROM:<a@later.test>", "250")
	late.Say("MAIL FROM:<a@later.test>", "250")
	late.Say("RCPT TO:<anna@home.test>", "250")
	late.Say("DATA", "354")
	w.Apply(plain + proven + bounces + fmt.Sprintf(requireTLS, "later", `sender = ["later.test"]`, ""))
	early.Say("RCPT TO:<anna@home.test>", "451-4.7.10")
	late.Raw(letter("a@later.test", "too late"))
	late.Say(".", "451-4.7.10")
	before := w.open(&tls.Config{InsecureSkipVerify: true})
	w.Apply(plain + proven + bounces) // and equal ones again
	w.Apply(plain + proven + bounces)
	before.Transaction("a@plain.test", to, letter("a@plain.test", "equal rules"))

	for _, text := range []string{"over TLS", "proven", "bounced", "equal rules"} {
		harness.Eventually(t, harness.Patience, text+" arrives", func() bool { return len(harness.Bodies(w.Home(), text+"\r\n")) > 0 })
	}
	if n := len(harness.Bodies(w.Home(), "too late")); n > 0 {
		t.Error("what came too late was delivered")
	}
	tr := w.Await("anna@home.test", func(tr harness.Trace) bool { return tr.State == "delivered" && tr.From == "a@plain.test" })
	if !strings.Contains(tr.Raw, `"rules":["plain"]`) {
		t.Errorf("the trace does not say what it came in by: %s", tr.Raw)
	}
	harness.Eventually(t, harness.Patience, "the administrator is told", func() bool {
		return len(harness.Bodies(w.Home(), "The rule plain refuses mail from")) > 0
	})
	if n := strings.Count(w.Log(), "inbound-refused"); n < 6 {
		t.Errorf("%d refusals in the log", n)
	}
	harness.Eventually(t, harness.Patience, "senders are listed", func() bool {
		return strings.Contains(w.Postern("peers", "senders", "--refused"), "later.test") && strings.Contains(w.Postern("peers", "senders", "--json"), `"domain":"partner.test"`)
	})
	w.explained(t)
}

// explained asks beforehand what becomes of mail.
func (w *world) explained(t *testing.T) {
	issued := w.CA.Issue(pki.Options{Names: []string{"mail.partner.test"}})
	cert := w.Write("client.pem", issued.CertPEM)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--from", "a@plain.test", "--tls", "none"}, "550 5.7.10 mail from plain.test"},
		{[]string{"--from", "a@plain.test", "--tls", "1.3"}, "it meets what is demanded"},
		{[]string{"--from", "a@partner.test", "--tls", "1.3"}, "451 4.7.5"},
		{[]string{"--from", "a@partner.test", "--tls", "1.3", "--certificate", cert}, "it meets what is demanded"},
		{[]string{"--from", "<>", "--client", "203.0.113.7", "--listener", "implicit", "--tls", "1.2"}, "451 4.7.5 mail of the null sender"},
		{[]string{"--from", "<>", "--client", "203.0.113.7", "--listener", "world"}, "yes: 203.0.113.7 lies in 203.0.113.0/24"},
		{[]string{"--from", "a@plain.test"}, "the header is not looked at"},
	} {
		if got := w.Postern(append([]string{"rules", "explain", "--offline", "--to", "anna@home.test"}, c.args...)...); !strings.Contains(strings.Join(strings.Fields(got), " "), c.want) {
			t.Errorf("%q says\n%s\nand not %q", c.args, got, c.want)
		}
	}
}
