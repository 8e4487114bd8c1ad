package acceptance

import (
	"strings"
	"testing"

	"postern/test/harness"
)

// TestARouteSaysHowAServerIsSpokenTo: an extension is left out, and signed content that would have to be re-encoded
// returns; elsewhere it is re-encoded, and check says so.
func TestARouteSaysHowAServerIsSpokenTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.Good("mx.old.test")
	old.Keywords = []string{"PIPELINING", "SIZE 10000000"}
	plain, lax := w.Domain("old.test", old), w.Domain("lax.test", old)
	w.More = append(w.More, "[[route]]\nmatch = [\"old.test\"]\nwithout = [\"size\"]\nsigned_8bit = \"bounce\"\n")
	w.Start("")
	const mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
	for to, text := range map[string]string{"a@old.test": mime, "b@old.test": "DKIM-Signature: v=1\r\n" + mime, "c@lax.test": "DKIM-Signature: v=1\r\n" + mime} {
		c := w.Connect("")
		c.Say("EHLO mail.home.test", "250")
		c.Transaction("anna@home.test", []string{to}, "From: anna@home.test\r\n"+text+"\r\nh\u00e9\r\n")
		c.Say("QUIT", "221")
		c.Conn.Close()
	}
	w.Await("a@old.test", func(tr harness.Trace) bool { return tr.State == "delivered" })
	w.Await("c@lax.test", func(tr harness.Trace) bool { return tr.State == "delivered" })
	back := w.Await("b@old.test", func(tr harness.Trace) bool { return tr.State == "failed" })
	if !strings.Contains(back.Text, "signed") {
		t.Errorf("it came back with: %s", back.Text)
	}
	if len(plain.Messages()) != 1 || len(lax.Messages()) != 1 {
		t.Errorf("%d and %d messages", len(plain.Messages()), len(lax.Messages()))
	}
	for _, c := range plain.Commands() {
		if c.Verb == "MAIL" && strings.Contains(c.Line, "SIZE=") {
			t.Errorf("said: %s", c.Line)
		}
	}
	if a := w.Run("", "check", "lax.test"); !strings.Contains(a.Stdout, "8BITMIME") {
		t.Errorf("check does not say it:\n%s", a.Stdout)
	}
}
