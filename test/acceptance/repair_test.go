package acceptance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

// backlog sends n messages to dr@clinic.test, which all must wait.
func (w *world) backlog(n int, to string) {
	w.T.Helper()
	c := w.Connect("")
	defer c.Conn.Close()
	c.Say("EHLO mail.home.test", "250")
	for i := range n {
		c.Transaction("anna@home.test", []string{to}, harness.Message("anna@home.test", []string{to}, fmt.Sprintf("waiting %d", i)))
	}
}

// waitingFor counts what waits for a reason.
func (w *world) waitingFor(domain, reason string) (n int) {
	w.T.Helper()
	for _, t := range w.Traces("queue", "list", domain) {
		if t.State == "queued" && t.Reason == reason {
			n++
		}
	}
	return n
}

// Two seconds are what is promised, and the log of the test says how long it took; a slow machine gets patience, which
// is far from the interval.
func TestARepairedCertificateEmptiesItsSite(t *testing.T) {
	t.Parallel()
	const long = `["1s", "10m"]`
	for _, c := range []struct {
		name, retry string
		act         func(w *world)
	}{
		{"within one retry interval", `["3s"]`, func(*world) {}},
		{"at queue retry", long, func(w *world) { w.Postern("queue", "retry") }},
		{"at queue retry of its domain", long, func(w *world) { w.Postern("queue", "retry", "clinic.test") }},
		{"as soon as a check of its domain passes", long, func(w *world) { w.Postern("check", "clinic.test") }},
		{"as soon as other mail passes there", long, func(w *world) { w.Send("anna@home.test", "new", "x@clinic.test") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			clinic := w.Domain("clinic.test", w.Expired("mx.clinic.test"))
			w.Settings["delivery.retry"] = c.retry
			w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "1h"`))
			const n = 300
			w.backlog(n, "dr@clinic.test")
			harness.Eventually(t, harness.Patience, "all wait", func() bool { return w.waitingFor("clinic.test", "cert-expired") == n })
			time.Sleep(1500 * time.Millisecond) // the second failure, after which the long interval begins

			if strings.HasPrefix(c.name, "as soon") { // by a route that is mended for mail without a rule too
				w.Apply("")
				w.Apply(harness.Force("doctors", `"dr@clinic.test"`))
			}
			clinic.Set(w.Good("mx.clinic.test"))
			repaired := time.Now()
			c.act(w)
			harness.Eventually(t, harness.Patience, "all are delivered", func() bool { return len(harness.Bodies(clinic, "\r\nwaiting ")) >= n })
			t.Logf("it took %v", time.Since(repaired))
			harness.Eventually(t, harness.Patience, "nothing waits", func() bool { return len(w.Traces("queue", "list")) == 0 })
			if got := len(harness.Bodies(clinic, "\r\nwaiting ")); got != n {
				t.Errorf("%d deliveries of %d messages", got, n)
			}
			if lines := harness.Forbidden(clinic, true); len(lines) > 0 {
				t.Errorf("heard without TLS: %q", lines)
			}
		})
	}
}

func TestATrustOrRouteThatIsMendedLetsMailGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	private := pki.New(w.Now, "Clinic's own CA")
	w.Write("clinic-ca.pem", w.CA.RootPEM()) // the wrong one
	b := w.Good("mx.clinic.test")
	b.TLS.Certificates[0] = private.Issue(pki.Options{Names: []string{"mx.clinic.test"}}).TLS
	w.Domain("clinic.test", b)
	w.Settings["delivery.retry"] = `["1s"]`
	w.Start(harness.Force("clinic", `"clinic.test"`, `trust = "clinic-ca.pem"`, `defer = "40s"`))
	w.Send("anna@home.test", "private trust", "dr@clinic.test")
	w.Await("dr@clinic.test", func(tr harness.Trace) bool { return tr.State == "queued" && tr.Reason != "" })
	w.Write("clinic-ca.pem", private.RootPEM())
	w.Await("dr@clinic.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
}
