package acceptance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
)

// ticked lets the other recipients of a message go as they can.
const ticked = `unspecified_recipients = "opportunistic"`

// town is a world of a clinic with good TLS, a shop without any and a club whose certificate has expired.
func town(t *testing.T) *world {
	w := newWorld(t)
	w.domain("clinic.test", w.good("mx.clinic.test"))
	w.domain("shop.test", partner.Behaviour{})
	w.domain("club.test", w.expired("mx.club.test"))
	return w
}

func TestAnUntickedBoxForcesEveryRecipient(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.start(force("clinic", `"clinic.test"`, `defer = "30s"`))
	w.send("anna@home.test", "one for all", "dr@clinic.test", "bob@shop.test", "board@club.test", "team@home.test")
	w.await("dr@clinic.test", in("delivered")).want(t, map[string]string{"reached": "authenticated", "requires": "authenticated"})
	w.await("bob@shop.test", in("failed")).want(t, map[string]string{"reason": "starttls-not-offered", "requires": "authenticated"})
	w.await("board@club.test", waits("cert-expired")).want(t, map[string]string{"requires": "authenticated", "rule": "clinic"})

	report := oneReport(t, w.home(), "bob@shop.test")
	for _, other := range []string{"dr@clinic.test", "board@club.test"} {
		if strings.Contains(report.Data, "Final-Recipient: rfc822; "+other) {
			t.Errorf("the report names %s:\n%s", other, report.Data)
		}
	}
	if lines := append(forbidden(w.hosts["mx.shop.test"], false), forbidden(w.hosts["mx.club.test"], false)...); len(lines) > 0 {
		t.Errorf("heard on unproven connections: %q", lines)
	}
	eventually(t, patience, "our own recipient gets it", func() bool { return len(bodies(w.home(), "\none for all")) == 1 })
}

func TestATickedBoxForcesOnlyWhoMatches(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.domain("lab.test", w.expired("mx.lab.test"))
	w.start(force("clinic", `"clinic.test", "lab.test"`, ticked, `defer = "30s"`))
	w.send("anna@home.test", "to each as he can", "dr@clinic.test", "bob@shop.test", "board@club.test", "x@lab.test")
	w.await("dr@clinic.test", in("delivered")).want(t, map[string]string{"reached": "authenticated", "requires": "authenticated"})
	w.await("bob@shop.test", in("delivered")).want(t, map[string]string{"reached": "plaintext", "requires": "plaintext"})
	w.await("board@club.test", in("delivered")).want(t, map[string]string{"reached": "encrypted", "requires": "plaintext"})
	w.await("x@lab.test", waits("cert-expired")).want(t, map[string]string{"requires": "authenticated"})
	if lines := forbidden(w.hosts["mx.lab.test"], false); len(lines) > 0 {
		t.Errorf("heard on an unproven connection: %q", lines)
	}
	for host, to := range map[string]string{"mx.clinic.test": "dr@clinic.test", "mx.shop.test": "bob@shop.test", "mx.club.test": "board@club.test"} {
		got := w.hosts[host].Messages()
		if len(got) != 1 || !slices.Equal(got[0].To, []string{to}) || !strings.HasSuffix(got[0].Data, "\r\nto each as he can\r\n") {
			t.Errorf("%s got %+v", host, got)
		}
	}
}

func TestSeveralRulesOnOneMessageAreJoined(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.start(force("ticked", `"clinic.test"`, ticked, `defer = "40s"`) +
		force("unticked", `"club.test"`, `defer = "20s"`) +
		force("pinned", `"*.test"`, ticked, `names = ["mx.clinic.test", "mx.shop.test"]`, `defer = "30s"`))
	w.send("anna@home.test", "joined", "dr@clinic.test", "bob@shop.test", "board@club.test")
	clinic := w.await("dr@clinic.test", in("delivered"))
	clinic.want(t, map[string]string{"reached": "authenticated", "requires": "authenticated"})
	for _, rule := range []string{"ticked", "unticked", "pinned"} {
		if !strings.Contains(clinic.Rule, rule) {
			t.Errorf("the delivery to the clinic is under %q, want %s too", clinic.Rule, rule)
		}
	}
	if d := clinic.ExpiresAt.Sub(clinic.AcceptedAt); d != 20*time.Second {
		t.Errorf("the joined window is %v, want the strictest, 20s", d)
	}
	// The shop is named by one rule, which would wait, and tainted by another, which would not: the stricter timing.
	w.await("bob@shop.test", in("failed")).want(t, map[string]string{"reason": "starttls-not-offered", "rule": "unticked,pinned"})
	club := w.await("board@club.test", waits("cert-expired"))
	if !strings.Contains(club.Rule, "pinned") || !strings.Contains(club.Rule, "unticked") {
		t.Errorf("the delivery to the club is under %q", club.Rule)
	}
	if lines := append(forbidden(w.hosts["mx.shop.test"], false), forbidden(w.hosts["mx.club.test"], false)...); len(lines) > 0 {
		t.Errorf("heard on unproven connections: %q", lines)
	}
}

func TestTestModeAndExpiryAndDisabledRulesForceNothing(t *testing.T) {
	t.Parallel()
	w := town(t)
	practised := strings.Replace(force("practised", `"shop.test"`), "action", "mode = \"test\"\naction", 1)
	lapsed := strings.Replace(force("lapsed", `"shop.test"`), "action", "expires = 2020-01-31\naction", 1)
	disabled := strings.Replace(force("disabled", `"shop.test"`), `"outbound"`, `"disabled"`, 1)
	w.start(practised + lapsed + disabled)
	w.send("anna@home.test", "as before", "bob@shop.test")
	got := w.await("bob@shop.test", in("delivered"))
	got.want(t, map[string]string{"reached": "plaintext", "requires": "plaintext"})
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
	w.start(rule("by-subject", `subject = ["*[secure]*"]`) + rule("by-header", `header = [{ name = "X-Class", value = "secret*" }]`) +
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
		s := w.connect(c.client)
		s.say("EHLO mail.home.test", "250")
		id := s.transaction(c.from, strings.Fields(c.to), c.content)
		s.conn.Close()
		for _, got := range w.traces("trace", "--message", id) {
			if got.Rule != c.rule {
				t.Errorf("%s from %s: rule %q, want %q", c.to, c.from, got.Rule, c.rule)
			}
		}
	}
}
