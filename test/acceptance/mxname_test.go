package acceptance

import (
	"strings"
	"testing"
	"time"
)

func TestMailWaitsForAStrangersMailHostUntilAnAdministratorApproves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.domain("clinic.test", w.good("mx.clinic.test"))
	provider := w.partner("mx.provider.test", w.good("mx.provider.test"))
	w.start(force("clinic", `"clinic.test"`))
	w.send("anna@home.test", "first", "dr@clinic.test")
	first := w.await("dr@clinic.test", func(tr trace) bool { return tr.State == "delivered" })
	if out := w.postern("peers", "pins", "clinic.test"); !strings.Contains(out, "clinic.test") || !strings.Contains(out, "first-use") {
		t.Errorf("after %+v pinned:\n%s", first, out)
	}

	for i, line := range w.zone {
		if strings.HasPrefix(line, "!clinic.test MX") {
			w.zone[i] = "!clinic.test MX 10 mx.provider.test"
		}
	}
	w.record()
	w.restart() // it forgets what DNS said, and remembers what it learnt
	w.send("anna@home.test", "second", "nurse@clinic.test")
	waits := w.await("nurse@clinic.test", func(tr trace) bool { return tr.Reason != "" && tr.State == "queued" })
	if waits.Reason != "mx-changed" || !strings.Contains(waits.Text, "provider.test") {
		t.Errorf("it waits for %s: %s", waits.Reason, waits.Text)
	}
	if v := w.checks(1, "--as-rule", "clinic", "clinic.test")["clinic.test"]["rule clinic"]; v.Reason != "mx-changed" {
		t.Errorf("check says %+v", v)
	}
	time.Sleep(2 * time.Second) // some tries
	if heard := forbidden(provider, false); len(heard) > 0 {
		t.Errorf("a stranger heard %q", heard)
	}

	if out := w.postern("peers", "approve", "clinic.test"); !strings.Contains(out, "+ provider.test  known to rule clinic") {
		t.Errorf("approved:\n%s", out)
	}
	w.await("nurse@clinic.test", func(tr trace) bool { return tr.State == "delivered" })
	if v := w.checks(0, "--as-rule", "clinic", "clinic.test")["clinic.test"]["rule clinic"]; v.Outcome != "delivered" {
		t.Errorf("after the approval check says %+v", v)
	}
	if out := w.postern("audit"); !strings.Contains(out, "peers approve") {
		t.Errorf("the audit trail lacks the approval:\n%s", out)
	}
	if got := bodies(provider, "second"); len(got) != 1 || !got[0].TLS {
		t.Errorf("arrived: %+v", got)
	}
}
