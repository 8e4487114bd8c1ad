package acceptance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

// backlog sends n messages to dr@clinic.test, which all must wait.
func (w *world) backlog(n int, to string) {
	w.t.Helper()
	c := w.connect("")
	defer c.conn.Close()
	c.say("EHLO mail.home.test", "250")
	for i := range n {
		c.transaction("anna@home.test", []string{to}, message("anna@home.test", []string{to}, fmt.Sprintf("waiting %d", i)))
	}
}

// waitingFor counts what waits for a reason.
func (w *world) waitingFor(domain, reason string) (n int) {
	w.t.Helper()
	for _, t := range w.traces("queue", "list", domain) {
		if t.State == "queued" && t.Reason == reason {
			n++
		}
	}
	return n
}

func TestARepairedCertificateEmptiesItsSite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, retry string
		within      time.Duration
		act         func(w *world)
	}{
		{"within one retry interval", `["3s"]`, 3*time.Second + 300*time.Millisecond + time.Second, func(*world) {}},
		{"within two seconds of queue retry", `["1s", "120s"]`, 2 * time.Second, func(w *world) { w.postern("queue", "retry") }},
		{"within two seconds of queue retry of its domain", `["1s", "120s"]`, 2 * time.Second, func(w *world) { w.postern("queue", "retry", "clinic.test") }},
		{"as soon as a check of its domain passes", `["1s", "120s"]`, 2 * time.Second, func(w *world) { w.postern("check", "clinic.test") }},
		{"as soon as other mail passes there", `["1s", "120s"]`, 2 * time.Second, func(w *world) { w.send("anna@home.test", "new", "x@clinic.test") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			clinic := w.domain("clinic.test", w.expired("mx.clinic.test"))
			w.settings["delivery.retry"] = c.retry
			w.start(force("clinic", `"clinic.test"`, `defer = "60s"`))
			const n = 300
			w.backlog(n, "dr@clinic.test")
			eventually(t, patience, "all wait", func() bool { return w.waitingFor("clinic.test", "cert-expired") == n })
			time.Sleep(1500 * time.Millisecond) // the second failure, after which the long interval begins

			if strings.HasPrefix(c.name, "as soon") { // by a route that is mended for mail without a rule too
				w.apply("")
				w.apply(force("doctors", `"dr@clinic.test"`))
			}
			clinic.Set(w.good("mx.clinic.test"))
			repaired := time.Now()
			c.act(w)
			eventually(t, patience, "all are delivered", func() bool { return len(bodies(clinic, "\r\nwaiting ")) >= n })
			if took := time.Since(repaired); took > c.within {
				t.Errorf("it took %v, want at most %v", took, c.within)
			}
			eventually(t, patience, "nothing waits", func() bool { return len(w.traces("queue", "list")) == 0 })
			if got := len(bodies(clinic, "\r\nwaiting ")); got != n {
				t.Errorf("%d deliveries of %d messages", got, n)
			}
			if lines := forbidden(clinic, true); len(lines) > 0 {
				t.Errorf("heard without TLS: %q", lines)
			}
		})
	}
}

func TestATrustOrRouteThatIsMendedLetsMailGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	private := pki.New(w.now, "Clinic's own CA")
	w.write("clinic-ca.pem", w.ca.RootPEM()) // the wrong one
	b := w.good("mx.clinic.test")
	b.TLS.Certificates[0] = private.Issue(pki.Options{Names: []string{"mx.clinic.test"}}).TLS
	w.domain("clinic.test", b)
	w.settings["delivery.retry"] = `["1s"]`
	w.start(force("clinic", `"clinic.test"`, `trust = "clinic-ca.pem"`, `defer = "40s"`))
	w.send("anna@home.test", "private trust", "dr@clinic.test")
	w.await("dr@clinic.test", func(tr trace) bool { return tr.State == "queued" && tr.Reason != "" })
	w.write("clinic-ca.pem", private.RootPEM())
	w.await("dr@clinic.test", in("delivered")).want(t, map[string]string{"reached": "authenticated"})
}
