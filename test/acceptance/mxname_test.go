package acceptance

import (
	"postern/test/harness"
	"strings"
	"testing"
	"time"
)

func TestMailWaitsForAStrangersMailHostUntilAnAdministratorApproves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	provider := w.Partner("mx.provider.test", w.Good("mx.provider.test"))
	w.Start(harness.Force("clinic", `"clinic.test"`))
	w.Send("anna@home.test", "first", "dr@clinic.test")
	first := w.Await("dr@clinic.test", func(tr harness.Trace) bool { return tr.State == "delivered" })
	if out := w.Postern("peers", "pins", "clinic.test"); !strings.Contains(out, "clinic.test") || !strings.Contains(out, "first-use") {
		t.Errorf("after %+v pinned:\n%s", first, out)
	}

	for i, line := range w.Zone {
		if strings.HasPrefix(line, "!clinic.test MX") {
			w.Zone[i] = "!clinic.test MX 10 mx.provider.test"
		}
	}
	w.Record()
	w.Restart() // it forgets what DNS said, and remembers what it learnt
	w.Send("anna@home.test", "second", "nurse@clinic.test")
	waits := w.Await("nurse@clinic.test", func(tr harness.Trace) bool { return tr.Reason != "" && tr.State == "queued" })
	if waits.Reason != "mx-changed" || !strings.Contains(waits.Text, "provider.test") {
		t.Errorf("it waits for %s: %s", waits.Reason, waits.Text)
	}
	if v := w.checks(1, "--as-rule", "clinic", "clinic.test")["clinic.test"]["rule clinic"]; v.Reason != "mx-changed" {
		t.Errorf("check says %+v", v)
	}
	time.Sleep(2 * time.Second) // some tries
	if heard := harness.Forbidden(provider, false); len(heard) > 0 {
		t.Errorf("a harness.Stranger heard %q", heard)
	}

	if a := w.Run("", "peers", "approve", "clinic.test"); a.Code != 1 || !strings.Contains(a.Stdout, "provider.test\n") ||
		!strings.Contains(a.Stdout, "mx.provider.test") || !strings.Contains(a.Stdout, "1 delivery since") {
		t.Errorf("what could be approved: exit code %d\n%s%s", a.Code, a.Stdout, a.Stderr)
	}
	if a := w.Run("", "peers", "approve", "clinic.test", "evil.test"); a.Code != 2 || !strings.Contains(a.Stderr, "provider.test") {
		t.Errorf("what DNS does not name: exit code %d\n%s%s", a.Code, a.Stdout, a.Stderr)
	}
	if out := w.Postern("peers", "approve", "clinic.test", "provider.test"); !strings.Contains(out, "+ provider.test  known to rule clinic") {
		t.Errorf("approved:\n%s", out)
	}
	w.Await("nurse@clinic.test", func(tr harness.Trace) bool { return tr.State == "delivered" })
	if v := w.checks(0, "--as-rule", "clinic", "clinic.test")["clinic.test"]["rule clinic"]; v.Outcome != "delivered" {
		t.Errorf("after the approval check says %+v", v)
	}
	if out := w.Postern("audit"); !strings.Contains(out, "peers approve") {
		t.Errorf("the audit trail lacks the approval:\n%s", out)
	}
	if got := harness.Bodies(provider, "second"); len(got) != 1 || !got[0].TLS {
		t.Errorf("arrived: %+v", got)
	}
}
