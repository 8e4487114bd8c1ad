package acceptance

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

func TestForcedMailThatCameWithoutTLSIsToldOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	w.Domain("shop.test", w.Good("mx.shop.test"))
	w.Settings["admin.notify"] = `"boss@home.test"`
	w.Settings["relay.networks"] = `["127.0.0.0/28"]`
	w.Start(harness.Force("clinic", `"*@clinic.test"`))
	send := func(from string, secure bool, to, text string) string {
		c := w.Connect(from)
		defer c.Conn.Close()
		c.Say("EHLO printer.home.test", "250")
		if secure {
			c.StartTLS(nil)
			c.Say("EHLO printer.home.test", "250")
		}
		return c.Transaction("anna@home.test", []string{to}, harness.Message("anna@home.test", []string{to}, text))
	}
	const warning = "forced onward, handed in without TLS by 127.0.0.5"
	plain := send("127.0.0.5", false, "dr@clinic.test", "in the clear")
	send("127.0.0.5", false, "dr@clinic.test", "in the clear again")
	secure := send("127.0.0.6", true, "dr@clinic.test", "over TLS")
	ordinary := send("127.0.0.5", false, "bob@shop.test", "ordinary")
	if got := w.Postern("trace", "--json", "--message", plain); !strings.Contains(got, `"handed_in":"`+warning+`"`) {
		t.Errorf("the trace says\n%s", got)
	}
	if got := w.Postern("trace", "--message", plain); !strings.Contains(strings.Join(strings.Fields(got), " "), warning) {
		t.Errorf("the trace for people says\n%s", got)
	}
	for _, id := range []string{secure, ordinary} {
		if got := w.Postern("trace", "--json", "--message", id); strings.Contains(got, "handed_in") {
			t.Errorf("of %s the trace says\n%s", id, got)
		}
	}
	// Once a day and client, in the log and by mail.
	if n := strings.Count(w.Log(), "kind=forced-onward"); n != 1 || !strings.Contains(w.Log(), "client=127.0.0.5") {
		t.Errorf("the log tells it %d times", n)
	}
	harness.Eventually(t, harness.Patience, "the administrator is written to", func() bool {
		return len(harness.Bodies(w.Home(), "127.0.0.5 (printer.home.test) handed in message "+plain)) == 1
	})
	// A client that always had TLS.
	send("127.0.0.6", false, "bob@shop.test", "without")
	harness.Eventually(t, harness.Patience, "the loss is in the log", func() bool {
		return strings.Contains(w.Log(), "kind=tls-lost client=127.0.0.6")
	})
}

func TestWhoRelaysMayHaveToUseTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("shop.test", w.Good("mx.shop.test"))
	w.Settings["relay.networks"] = `["127.0.0.1/32"]`
	w.Settings["relay.require"] = `"encrypted"`
	w.Start("")
	for _, to := range []string{"bob@shop.test", "anna@home.test"} {
		for _, hello := range []string{"EHLO", "HELO"} {
			c := w.Connect("")
			c.Say(hello+" mail.home.test", "250")
			c.Say("MAIL FROM:<anna@home.test>", "530 5.7.0 Must issue a STARTTLS command first")
			c.Say("RCPT TO:<"+to+">", "503")
			c.Say("RSET", "250")
			c.Say("MAIL FROM:<>", "530 5.7.0")
			c.StartTLS(nil)
			c.Say("EHLO mail.home.test", "250")
			c.Transaction("anna@home.test", []string{to}, harness.Message("anna@home.test", []string{to}, "over TLS"))
			c.Conn.Close()
		}
	}
	c := w.Connect(harness.Stranger)
	c.Say("EHLO far.example", "250")
	c.Transaction("x@far.example", []string{"anna@home.test"}, harness.Message("x@far.example", []string{"anna@home.test"}, "from the world"))
}

// TestMailThatWaitsIsUnderTheBindingOfItsClient: a report of our own server waits when that server is bound to a domain,
// whose mail a rule forces.
func TestMailThatWaitsIsUnderTheBindingOfItsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.Domain("shop.test", partner.Behaviour{Replies: map[string]string{"RCPT": "451 4.3.0 later"}})
	w.Settings["relay.networks"] = `["127.0.0.0/8"]`
	w.Start("[[rule]]\nname = \"ours\"\naction = \"force-tls\"\ndomain = [\"home.test\"]\n")
	w.Send("", "report", "one@shop.test")
	w.Await("one@shop.test", harness.Waits("remote-4xx")).Want(t, map[string]string{"requires": "plaintext"})
	w.More = append(w.More, "[[relay_client]]\nnetworks = [\"127.0.0.0/8\"]\nsenders = [\"home.test\", \"<>\"]\n")
	w.Configure()
	w.Postern("reload")
	w.Send("", "report", "two@shop.test")
	shop.Set(partner.Behaviour{})
	w.Run("", "queue", "retry", "shop.test")
	for _, to := range []string{"one@shop.test", "two@shop.test"} {
		w.Await(to, harness.Waits("starttls-not-offered")).Want(t, map[string]string{"requires": "authenticated", "rule": "ours"})
	}
	if out := w.Postern("rules", "explain", "--from", "<>", "--client", "127.0.0.1", "--to", "one@shop.test"); !strings.Contains(out, "authenticated") {
		t.Errorf("explain says\n%s", out)
	}
	if n := len(shop.Messages()); n > 0 {
		t.Errorf("%d messages went in the clear", n)
	}
}

// TestASizeIsThatOfWhatWasHandedIn: what the gateway writes on top decides nothing, and explain says what becomes of it.
func TestASizeIsThatOfWhatWasHandedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("shop.test", partner.Behaviour{})
	content := harness.Message("anna@home.test", []string{"bob@shop.test"}, "size")
	w.Start(fmt.Sprintf("[[rule]]\nname = \"small\"\naction = \"force-tls\"\n[rule.unless]\nsize_over = %d\n", len(content)))
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Transaction("anna@home.test", []string{"bob@shop.test"}, content)
	w.Await("bob@shop.test", harness.Waits("starttls-not-offered")).Want(t, map[string]string{"rule": "small"})
	w.Write("one.eml", []byte(content))
	if out := w.Postern("rules", "explain", "--message", filepath.Join(w.Dir, "one.eml")); !strings.Contains(out, "authenticated") {
		t.Errorf("explain says\n%s", out)
	}
}

func TestWhoRelaysUsesItsOwnSenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("shop.test", w.Good("mx.shop.test"))
	w.More = append(w.More, "[[relay_client]]\nnetworks = [\"127.0.0.0/8\"]\nsenders = [\"home.test\", \"*.branch.test\", \"<>\"]\n",
		"[[relay_client]]\nnetworks = [\"127.0.0.7/32\"]\nsenders = [\"Printers.TEST.\"]\n")
	w.Settings["relay.networks"] = `["127.0.0.0/8"]`
	w.Start("")
	for _, tc := range []struct{ client, sender, reply string }{
		{"", "<anna@home.test>", "250"}, {"", "<anna@HOME.test.>", "250"}, {"", "<>", "250"}, {"", "<x@a.branch.test>", "250"},
		{"", "<anna@bank.example>", "553 5.7.1"}, {"", "<home.test@bank.example>", "553 5.7.1"}, {"", "<x@branch.test>", "553 5.7.1"},
		{"", "<x@home.test.bank.example>", "553 5.7.1"}, {"", "<x@printers.test>", "553 5.7.1"},
		{"127.0.0.7", "<scan@printers.test>", "250"}, {"127.0.0.7", "<anna@home.test>", "553 5.7.1"}, {"127.0.0.7", "<>", "553 5.7.1"},
	} {
		c := w.Connect(tc.client)
		c.Say("EHLO mail.home.test", "250")
		if c.Say("MAIL FROM:"+tc.sender, tc.reply); tc.reply != "250" {
			c.Say("RCPT TO:<bob@shop.test>", "503")
		}
		c.Conn.Close()
	}
}
