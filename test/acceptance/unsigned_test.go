package acceptance

import (
	"testing"

	"postern/test/harness"
)

// TestAnUnsignedNoKeepsProtectedMail: DNS says, unsigned, that nobody takes mail at the domain. Protected mail waits
// for another answer, and goes when it comes; a signed "no" and ordinary mail return at once.
func TestAnUnsignedNoKeepsProtectedMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	truth := append([]string(nil), w.Zone...)
	w.Zone = nil
	w.Record("!clinic.test MX 0 .", "signed.test MX 0 .", "!open.test MX 0 .")
	w.Start(harness.Force("clinic", `"clinic.test", "signed.test"`))
	for _, domain := range []string{"clinic.test", "signed.test", "open.test"} {
		w.Send("anna@home.test", "results", "dr@"+domain)
	}
	for to, state := range map[string]string{"dr@clinic.test": "queued", "dr@signed.test": "failed", "dr@open.test": "failed"} {
		w.Await(to, func(tr harness.Trace) bool { return tr.Reason == "dns-null-mx" && tr.State == state })
	}
	if v := w.checks(1, "--as-rule", "clinic", "clinic.test")["clinic.test"]["rule clinic"]; v.Outcome != "deferred" || v.Reason != "dns-null-mx" {
		t.Errorf("check says %+v", v)
	}
	w.Zone = truth
	w.Record()
	w.Run("", "queue", "retry", "clinic.test") // its own next try may be under way
	w.Await("dr@clinic.test", func(tr harness.Trace) bool { return tr.State == "delivered" })
}
