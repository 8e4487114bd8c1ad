package endurance

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
)

// policyHost serves an enforced policy of a week for a domain, at port 443 of an address that it returns, until it is
// closed.
func policyHost(t *testing.T, ca *pki.CA, domain string) (*http.Server, string) {
	t.Helper()
	ip := newIP()
	l, err := net.Listen("tcp", ip+":443")
	if err != nil {
		t.Skipf("a policy host listens at port 443, which takes root: %v", err)
	}
	cert := ca.Issue(pki.Options{Names: []string{"mta-sts." + domain}})
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprintf(out, "version: STSv1\nmode: enforce\nmx: mx.%s\nmax_age: 604800\n", domain)
	})}
	go func() { _ = s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert.TLS}})) }() // until it is closed
	t.Cleanup(func() { _ = s.Close() })
	return s, ip
}

// Whoever hides a domain's policy after the first mail waits for max_age to pass, by the wall clock: a clock that goes
// back a year, or six days ahead, opens nothing; only beyond the week the policy is over, also over a restart, and mail
// goes as to a domain without one.
func aPolicyEndsByTheClock(t *testing.T, binary string) {
	t.Helper()
	const day = 24 * 3600
	w := harness.NewWorld(t)
	w.Write("step", []byte("0"))
	w.Under = []string{"/bin/sh", "-c", `POSTERN_CLOCK_STEP=` + w.Dir + `/step exec ` + binary + ` serve --config ` + w.ConfigFile()}
	w.Settings["delivery.lifetime"] = `"720h"`
	w.Settings["delivery.idle_time"] = "0" // what is published is found anew for each message
	w.Settings["policies.networks"] = `["127.0.0.0/8"]`
	clinic := w.Domain("clinic.test", w.Good("mx.clinic.test"))
	server, ip := policyHost(t, w.CA, "clinic.test")
	w.Record("mta-sts.clinic.test A "+ip, `!_mta-sts.clinic.test TXT "v=STSv1; id=1;"`)
	w.Start("")
	w.Send("anna@home.test", "first", "a@clinic.test")
	w.Await("a@clinic.test", harness.In("delivered")).Want(t, map[string]string{"policy": "sts", "reached": "authenticated"})

	_ = server.Close() // nothing is to be kept of it
	w.Zone = w.Zone[:len(w.Zone)-2]
	w.Record()
	clinic.Set(partner.Behaviour{})
	waits := func(t harness.Trace) bool { return t.State == "queued" && t.Policy == "sts" && t.Reason != "" }
	for i, days := range []int{0, -365, 6} {
		w.Write("step", []byte(fmt.Sprint(days*day)))
		time.Sleep(200 * time.Millisecond)
		to := fmt.Sprintf("day%d@clinic.test", i)
		w.Send("anna@home.test", "hidden", to)
		got := w.Await(to, waits)
		if got.Published == nil || got.Published.Mode != "enforce" || got.Published.Source != "cache" {
			t.Errorf("at day %d: %s", days, got.Raw)
		}
		w.Restart()
		w.Await(to, waits)
	}
	if lines := harness.Forbidden(clinic, true); len(lines) > 0 {
		t.Errorf("heard in the clear: %q", lines)
	}
	w.Write("step", []byte(fmt.Sprint(8*day)))
	time.Sleep(200 * time.Millisecond)
	w.Send("anna@home.test", "over", "over@clinic.test")
	w.Await("over@clinic.test", harness.In("delivered")).Want(t, map[string]string{"policy": "", "reached": "plaintext"})
}
