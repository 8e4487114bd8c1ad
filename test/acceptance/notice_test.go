package acceptance

import (
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// submit sends one message with parameters for MAIL and RCPT.
func (w *world) submit(mail, rcpt, content string) string {
	w.T.Helper()
	c := w.Connect("")
	defer c.Conn.Close()
	c.Say("EHLO mail.home.test", "250")
	c.Say("MAIL FROM:"+mail, "250")
	c.Say("RCPT TO:"+rcpt, "250")
	c.Say("DATA", "354")
	c.Raw(content)
	return c.Say(".", "250")
}

const short = "Subject: short\r\nMessage-ID: <short@home.test>\r\n\r\nthe body of it\r\n"

func TestTheSenderIsToldWhatHeAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("good.test", w.Good("mx.good.test"))
	dsn := w.Good("mx.dsn.test")
	dsn.Keywords = []string{"PIPELINING", "8BITMIME", "DSN"}
	passes := w.Domain("dsn.test", dsn)
	w.Domain("refused.test", w.Refuses("mx.refused.test"))
	busy := w.Good("mx.busy.test")
	busy.Fault = partner.Busy
	w.Domain("busy.test", busy)
	w.Settings["delivery.lifetime"], w.Settings["delivery.delay_notice"] = `"6s"`, `"2s"`
	w.Start("")
	full := func(tag string) string { return strings.ReplaceAll(short, "short", tag) }
	w.submit("<anna@home.test>", "<never@refused.test> NOTIFY=NEVER", full("n1"))
	w.submit("<anna@home.test>", "<onlysuccess@refused.test> NOTIFY=SUCCESS", full("n2"))
	w.submit("<anna@home.test> RET=FULL ENVID=abc123", "<full@refused.test> NOTIFY=FAILURE ORCPT=rfc822;Old@home.test", full("n3"))
	w.submit("<anna@home.test> RET=HDRS", "<hdrs@refused.test>", full("n4"))
	w.submit("<>", "<null@refused.test>", full("n5"))
	w.submit("<anna@home.test>", "<ok@good.test> NOTIFY=SUCCESS,FAILURE", full("n6"))
	w.submit("<anna@home.test>", "<plain@good.test>", full("n7"))
	w.submit("<anna@home.test> ENVID=xyz", "<on@dsn.test> NOTIFY=SUCCESS ORCPT=rfc822;on@dsn.test", full("n8"))
	w.submit("<anna@home.test>", "<late@busy.test>", full("n9"))
	w.submit("<anna@home.test>", "<quiet@busy.test> NOTIFY=FAILURE", full("n10"))
	w.submit("<>", "<nobody@busy.test>", full("n11"))

	home := w.Home()
	about := func(to, action string) []partner.Message {
		var out []partner.Message
		for _, m := range harness.Bodies(home, "Final-Recipient: rfc822; "+to+"\r\n") {
			if strings.Contains(m.Data, "Action: "+action+"\r\n") {
				out = append(out, m)
			}
		}
		return out
	}
	harness.Eventually(t, harness.Patience, "the last report", func() bool {
		return len(about("late@busy.test", "failed")) > 0 && len(about("quiet@busy.test", "failed")) > 0
	})
	w.Await("nobody@busy.test", harness.In("failed"))
	time.Sleep(1500 * time.Millisecond)
	for _, c := range []struct {
		to, action string
		count      int
		has, lacks string
	}{
		{"never@refused.test", "failed", 0, "", ""}, {"onlysuccess@refused.test", "failed", 0, "", ""},
		{"null@refused.test", "failed", 0, "", ""}, {"nobody@busy.test", "failed", 0, "", ""}, {"nobody@busy.test", "delayed", 0, "", ""},
		{"full@refused.test", "failed", 1, "the body of it", ""}, {"full@refused.test", "failed", 1, "Original-Envelope-Id: abc123", ""},
		{"full@refused.test", "failed", 1, "Original-Recipient: rfc822; Old@home.test", ""},
		{"hdrs@refused.test", "failed", 1, "text/rfc822-headers", "the body of it"},
		{"ok@good.test", "relayed", 1, "authenticated", "the body of it"}, {"plain@good.test", "relayed", 0, "", ""},
		{"on@dsn.test", "relayed", 0, "", ""},
		{"late@busy.test", "delayed", 1, "Will-Retry-Until:", ""}, {"late@busy.test", "failed", 1, "Status: 5.4.7", ""},
		{"quiet@busy.test", "delayed", 0, "", ""}, {"quiet@busy.test", "failed", 1, "Status: 5.4.7", ""},
	} {
		got := about(c.to, c.action)
		if len(got) != c.count {
			t.Errorf("%s: %d reports %s, want %d", c.to, len(got), c.action, c.count)
			continue
		}
		for _, m := range got {
			if !strings.Contains(m.Data, c.has) || c.lacks != "" && strings.Contains(m.Data, c.lacks) {
				t.Errorf("%s: the report lacks %q or has %q:\n%s", c.to, c.has, c.lacks, m.Data)
			}
			if m.From != "" {
				t.Errorf("a report from <%s>", m.From)
			}
		}
	}
	passed := ""
	for _, c := range passes.Commands() {
		passed += c.Line + "\n"
	}
	if !strings.Contains(passed, "ENVID=xyz") || !strings.Contains(passed, "NOTIFY=SUCCESS") || !strings.Contains(passed, "ORCPT=rfc822;on@dsn.test") {
		t.Errorf("what the sender asked for was not passed on:\n%s", passed)
	}
}

func TestEachRecipientHasHisOwnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.Good("mx.mixed.test")
	b.Replies = map[string]string{"RCPT TO:<no@mixed.test>": "550 5.1.1 nobody", "RCPT TO:<later@mixed.test>": "450 4.2.0 not now"}
	mixed := w.Domain("mixed.test", b)
	w.Start("")
	w.Send("anna@home.test", "three ends", "yes@mixed.test", "no@mixed.test", "later@mixed.test")
	w.Await("yes@mixed.test", harness.In("delivered"))
	w.Await("no@mixed.test", harness.In("failed")).Want(t, map[string]string{"reason": "remote-5xx"})
	w.Await("later@mixed.test", harness.Waits("remote-4xx"))
	report := oneReport(t, w.Home(), "no@mixed.test")
	if strings.Count(report.Data, "Final-Recipient:") != 1 {
		t.Errorf("the report:\n%s", report.Data)
	}
	mixed.Set(w.Good("mx.mixed.test"))
	w.Await("later@mixed.test", harness.In("delivered"))
	if n := len(harness.Bodies(mixed, "\r\nthree ends")); n != 2 {
		t.Errorf("%d transactions, want 2", n)
	}
}

func TestAServerThatClosesAfterTheDotIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.Good("mx.odd.test")
	b.Fault = partner.ClosesAfterDot
	odd := w.Domain("odd.test", b)
	w.Start("")
	w.Send("anna@home.test", "once more", "a@odd.test")
	w.Await("a@odd.test", harness.Waits("remote-closed"))
	odd.Set(w.Good("mx.odd.test"))
	w.Await("a@odd.test", harness.In("delivered"))
}

func TestEightBitAndInternationalMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seven := w.Good("mx.seven.test")
	seven.Keywords = []string{"PIPELINING"}
	old := w.Domain("seven.test", seven)
	modern := w.Good("mx.modern.test")
	modern.Keywords = []string{"PIPELINING", "8BITMIME", "SMTPUTF8"}
	able := w.Domain("modern.test", modern)
	w.Domain("xn--mnchen-3ya.test", modern)
	w.Start("")

	body := "Subject: umlaut\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße aus München\r\n"
	w.submit("<anna@home.test> BODY=8BITMIME", "<a@seven.test>", body)
	w.Await("a@seven.test", harness.In("delivered", "failed")).Want(t, map[string]string{"state": "delivered"})
	for _, m := range old.Messages() {
		if strings.Contains(m.Data, "ü") || !strings.Contains(m.Data, "quoted-printable") && !strings.Contains(m.Data, "base64") {
			t.Errorf("a server without 8BITMIME got:\n%s", m.Data)
		}
	}
	w.submit("<anna@home.test> BODY=8BITMIME", "<a@modern.test>", body)
	harness.Eventually(t, harness.Patience, "eight bits arrive", func() bool { return len(harness.Bodies(able, "Grüße aus München")) == 1 })

	header := "Subject: Grüße\r\nFrom: <jörg@home.test>\r\n\r\ntext\r\n"
	w.submit("<jörg@home.test> SMTPUTF8 BODY=8BITMIME", "<ü@modern.test>", header)
	w.Await("ü@modern.test", harness.In("delivered"))
	if got := harness.Bodies(able, "Subject: Grüße"); len(got) != 1 || got[0].From != "jörg@home.test" || got[0].To[0] != "ü@modern.test" {
		t.Errorf("an international message arrived as %+v", got)
	}
	w.submit("<anna@home.test> SMTPUTF8", "<a@münchen.test>", header)
	w.Await("a@xn--mnchen-3ya.test", harness.In("delivered"))
	w.submit("<anna@home.test> SMTPUTF8 BODY=8BITMIME", "<ü@seven.test>", header)
	got := w.Await("ü@seven.test", harness.In("failed"))
	if !strings.HasPrefix(got.Status, "5.6.") && !strings.HasPrefix(got.Status, "5.7") && !strings.HasPrefix(got.Status, "5.1") {
		t.Errorf("a server without SMTPUTF8: %s", got.Raw)
	}
	harness.Eventually(t, harness.Patience, "the sender is told", func() bool { return len(harness.Bodies(w.Home(), "Status: 5.6.")) == 1 })
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Raw("MAIL FROM:<jörg@home.test>\r\n")
	c.Wants("5")
}
