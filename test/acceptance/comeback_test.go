package acceptance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/test/harness"
)

// Two archives forward whatever they get to a partner, through the gateway, whose rule copies all mail to both: each
// gets one copy, over a restart too.
func TestACopyThatIsForwardedThroughTheGatewayIsNotCopiedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	archives := w.Domain("copies.test", w.Good("mx.copies.test"))
	w.Start("[[rule]]\nname = \"archive\"\naction = \"bcc\"\n[rule.bcc]\nto = [\"a@copies.test\", \"b@copies.test\"]\n")
	forwarded := 0
	forward := func() {
		for _, m := range archives.Messages()[forwarded:] {
			forwarded++
			for _, to := range m.To {
				c := w.Connect("")
				c.Say("EHLO mail.copies.test", "250")
				c.Transaction("anna@home.test", []string{"dr@clinic.test"},
					fmt.Sprintf("Received: from %s by mail.copies.test; %s\r\n", to, time.Now().Format(time.RFC1123Z))+m.Data)
				c.Conn.Close()
			}
		}
	}
	w.Send("anna@home.test", "to be kept", "dr@clinic.test")
	copied := func() (n int) {
		for _, m := range archives.Messages() {
			n += len(m.To)
		}
		return n
	}
	harness.Eventually(t, harness.Patience, "both archives have their copy", func() bool { return copied() == 2 })
	w.Restart()
	forward()
	drained := func() bool { return w.Postern("queue", "list", "--json") == "" }
	harness.Eventually(t, harness.Patience, "nothing is in the queue", drained)
	if forward(); copied() != 2 {
		t.Errorf("the archives have %d copies, want one each", copied())
	}
	harness.Eventually(t, harness.Patience, "nothing is in the queue", drained)
	clinic := harness.Bodies(w.Hosts["mx.clinic.test"], "to be kept")
	if len(clinic) != 3 { // from anna, and from each archive
		t.Errorf("the clinic has it %d times", len(clinic))
	}
	marked := 0
	for _, m := range clinic {
		if strings.Contains(m.Data, "\r\nX-Postern-Copy: ") {
			marked++
		}
	}
	if marked != 2 {
		t.Errorf("%d of the clinic's messages are marked as copies", marked)
	}
	for _, tr := range w.Traces("trace", "--recipient", "dr@clinic.test") {
		back := strings.Contains(tr.Raw, `"back":["a@copies.test","b@copies.test"]`)
		if back == strings.Contains(tr.Raw, `"to":["a@copies.test","b@copies.test"]`) {
			t.Errorf("the record does not say what was copied:\n%s", tr.Raw)
		}
	}
}
