package acceptance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// ticked lets the other recipients of a message go as they can.
const ticked = `unspecified_recipients = "opportunistic"`

// town is a world of a clinic with good TLS, a shop without any and a club whose certificate has expired.
func town(t *testing.T) *world {
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	w.Domain("shop.test", partner.Behaviour{})
	w.Domain("club.test", w.Expired("mx.club.test"))
	return w
}

func TestAnUntickedBoxForcesEveryRecipient(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "30s"`))
	w.Send("anna@home.test", "one for all", "dr@clinic.test", "bob@shop.test", "board@club.test", "team@home.test")
	w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated", "requires": "authenticated"})
	w.Await("bob@shop.test", harness.In("failed")).Want(t, map[string]string{"reason": "starttls-not-offered", "requires": "authenticated"})
	w.Await("board@club.test", harness.Waits("cert-expired")).Want(t, map[string]string{"requires": "authenticated", "rule": "clinic"})

	report := oneReport(t, w.Home(), "bob@shop.test")
	for _, other := range []string{"dr@clinic.test", "board@club.test"} {
		if strings.Contains(report.Data, "Final-Recipient: rfc822; "+other) {
			t.Errorf("the report names %s:\n%s", other, report.Data)
		}
	}
	if lines := append(harness.Forbidden(w.Hosts["mx.shop.test"], false), harness.Forbidden(w.Hosts["mx.club.test"], false)...); len(lines) > 0 {
		t.Errorf("heard on unproven connections: %q", lines)
	}
	// Everybody who asks is told because of whom, and what would leave the others out.
	why := `the message also goes to dr@clinic.test, named by clinic; a rule whose box "Enable Opportunistic TLS for unspecified recipients" is ticked protects nobody else`
	if words := strings.Join(strings.Fields(report.Data), " "); !strings.Contains(words, why) {
		t.Errorf("the report does not say %q:\n%s", why, report.Data)
	}
	for to, want := range map[string]bool{"bob@shop.test": true, "board@club.test": true, "dr@clinic.test": false, "team@home.test": false} {
		long := strings.Join(strings.Fields(w.Postern("trace", "--long", "--recipient", to)), " ")
		raw := w.Traces("trace", "--recipient", to)[0].Raw
		if strings.Contains(long, why) != want || strings.Contains(raw, `"because":["dr@clinic.test"]`) != want {
			t.Errorf("trace tells of %s, want because %v:\n%s\n%s", to, want, long, raw)
		}
	}
	explained := strings.Join(strings.Fields(w.Postern("rules", "explain", "--from", "anna@home.test", "--to", "dr@clinic.test,bob@shop.test")), " ")
	if !strings.Contains(explained, `because dr@clinic.test is named; with the box "Enable Opportunistic TLS for unspecified recipients" ticked`) {
		t.Errorf("explain says\n%s", explained)
	}
	harness.Eventually(t, harness.Patience, "our own recipient gets it", func() bool { return len(harness.Bodies(w.Home(), "\none for all")) == 1 })
}

func TestATickedBoxForcesOnlyWhoMatches(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.Domain("lab.test", w.Expired("mx.lab.test"))
	w.Start(harness.Force("clinic", `"clinic.test", "lab.test"`, ticked, `defer = "30s"`))
	w.Send("anna@home.test", "to each as he can", "dr@clinic.test", "bob@shop.test", "board@club.test", "x@lab.test")
	w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated", "requires": "authenticated"})
	w.Await("bob@shop.test", harness.In("delivered")).Want(t, map[string]string{"reached": "plaintext", "requires": "plaintext"})
	w.Await("board@club.test", harness.In("delivered")).Want(t, map[string]string{"reached": "encrypted", "requires": "plaintext"})
	w.Await("x@lab.test", harness.Waits("cert-expired")).Want(t, map[string]string{"requires": "authenticated"})
	if lines := harness.Forbidden(w.Hosts["mx.lab.test"], false); len(lines) > 0 {
		t.Errorf("heard on an unproven connection: %q", lines)
	}
	for host, to := range map[string]string{"mx.clinic.test": "dr@clinic.test", "mx.shop.test": "bob@shop.test", "mx.club.test": "board@club.test"} {
		got := w.Hosts[host].Messages()
		if len(got) != 1 || !slices.Equal(got[0].To, []string{to}) || !strings.HasSuffix(got[0].Data, "\r\nto each as he can\r\n") {
			t.Errorf("%s got %+v", host, got)
		}
	}
}

func TestSeveralRulesOnOneMessageAreJoined(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.Start(harness.Force("ticked", `"clinic.test"`, ticked, `defer = "40s"`) +
		harness.Force("unticked", `"club.test"`, `defer = "20s"`) +
		harness.Force("pinned", `"*.test"`, ticked, `names = ["mx.clinic.test", "mx.shop.test"]`, `defer = "30s"`))
	w.Send("anna@home.test", "joined", "dr@clinic.test", "bob@shop.test", "board@club.test")
	clinic := w.Await("dr@clinic.test", harness.In("delivered"))
	clinic.Want(t, map[string]string{"reached": "authenticated", "requires": "authenticated"})
	for _, rule := range []string{"ticked", "unticked", "pinned"} {
		if !strings.Contains(clinic.Rule, rule) {
			t.Errorf("the delivery to the clinic is under %q, want %s too", clinic.Rule, rule)
		}
	}
	if d := clinic.ExpiresAt.Sub(clinic.AcceptedAt); d != 20*time.Second {
		t.Errorf("the joined window is %v, want the strictest, 20s", d)
	}
	// The shop is named by one rule, which would wait, and tainted by another, which would not: the stricter timing.
	w.Await("bob@shop.test", harness.In("failed")).Want(t, map[string]string{"reason": "starttls-not-offered", "rule": "unticked,pinned"})
	club := w.Await("board@club.test", harness.Waits("cert-expired"))
	if !strings.Contains(club.Rule, "pinned") || !strings.Contains(club.Rule, "unticked") {
		t.Errorf("the delivery to the club is under %q", club.Rule)
	}
	if lines := append(harness.Forbidden(w.Hosts["mx.shop.test"], false), harness.Forbidden(w.Hosts["mx.club.test"], false)...); len(lines) > 0 {
		t.Errorf("heard on unproven connections: %q", lines)
	}
}

func TestTestModeAndExpiryAndDisabledRulesForceNothing(t *testing.T) {
	t.Parallel()
	w := town(t)
	practised := strings.Replace(harness.Force("practised", `"shop.test"`), "action", "mode = \"test\"\naction", 1)
	lapsed := strings.Replace(harness.Force("lapsed", `"shop.test"`), "action", "expires = 2020-01-31\naction", 1)
	disabled := strings.Replace(harness.Force("disabled", `"shop.test"`), `"outbound"`, `"disabled"`, 1)
	w.Start(practised + lapsed + disabled)
	w.Send("anna@home.test", "as before", "bob@shop.test")
	got := w.Await("bob@shop.test", harness.In("delivered"))
	got.Want(t, map[string]string{"reached": "plaintext", "requires": "plaintext"})
	if !slices.Equal(got.Would, []string{"practised"}) {
		t.Errorf("the rules that would have forced it are %q", got.Would)
	}
}

func TestRulesLookAtEverythingTheySay(t *testing.T) {
	t.Parallel()
	w := town(t)
	rule := func(name, match string) string {
		return "[[rule]]\nname = \"" + name + "\"\nscope = \"outbound\"\naction = \"force-tls\"\n[rule.match]\n" + match +
			"\n[rule.force_tls]\n" + ticked + "\n"
	}
	w.Start(rule("by-subject", `subject = ["*[secure]*"]`) + rule("by-header", `header = [{ name = "X-Class", value = "secret*" }]`) +
		rule("by-sender", `sender = ["boss@home.test"]`) + rule("by-client", `sender_ip = ["127.0.0.2/32"]`) +
		rule("by-size", `size_over = "100KB"`) + rule("by-count", `recipients_over = 3`) + rule("by-name", `recipient = ["dr@clinic.test"]`))
	plain := "From: <x@home.test>\r\nSubject: hello\r\n\r\ntext\r\n"
	for _, c := range []struct{ rule, client, from, to, content string }{
		{"by-subject", "", "anna@home.test", "s1@shop.test", strings.Replace(plain, "hello", "=?utf-8?q?please_=5Bsecure=5D_now?=", 1)},
		{"by-header", "", "anna@home.test", "s2@shop.test", "X-Class: SECRET stuff\r\n" + plain},
		{"by-sender", "", "BOSS@Home.Test.", "s3@shop.test", plain},
		{"by-size", "", "anna@home.test", "s4@shop.test", plain + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1500)},
		{"by-count", "", "anna@home.test", "s5@shop.test a@shop.test b@shop.test c@shop.test", plain},
		{"by-name", "", "anna@home.test", "DR@CLINIC.test.", plain},
		{"by-name", "", "anna@home.test", `"dr"@clinic.test`, plain},
		{"", "", "anna@home.test", "s6@shop.test", plain},
		{"", "", "anna@home.test", "s7@shop.test", "TLS-Required: No\r\nX-Class: public\r\n" + plain},
	} {
		s := w.Connect(c.client)
		s.Say("EHLO mail.home.test", "250")
		id := s.Transaction(c.from, strings.Fields(c.to), c.content)
		s.Conn.Close()
		for _, got := range w.Traces("trace", "--message", id) {
			if got.Rule != c.rule {
				t.Errorf("%s from %s: rule %q, want %q", c.to, c.from, got.Rule, c.rule)
			}
		}
	}
}
