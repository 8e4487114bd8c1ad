package acceptance

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// crooked is a world with every fault, and a server for the sender in each state a sender's server can be in.
func crooked(t *testing.T) *world {
	w := newWorld(t)
	for _, f := range faults() {
		w.Domain(f.name+".test", f.behave(w, "mx."+f.name+".test"))
	}
	return w
}

func TestForcedMailNeverCrossesAConnectionThatDidNotPass(t *testing.T) {
	t.Parallel()
	w := crooked(t)
	var all []string
	for _, f := range faults() {
		all = append(all, fmt.Sprintf("%q", f.name+".test"))
	}
	all = append(all, `"slow.test"`)
	slow := w.Domain("slow.test", broken(partner.HangsTLS)(w, "mx.slow.test"))
	const window = 18 * time.Second // long enough to look at all of them on a busy machine
	w.Start(harness.Force("protected", strings.Join(all, ", "), `defer = "18s"`))
	for _, f := range faults() {
		w.Send("anna@home.test", "secret of "+f.name, "dr@"+f.name+".test")
	}
	w.Send("anna@home.test", "secret of slow", "dr@slow.test")

	// It waits, and the trace says why.
	for _, f := range faults() {
		got := w.Await("dr@"+f.name+".test", func(tr harness.Trace) bool { return tr.Reason != "" && tr.State != "sending" })
		got.Want(t, map[string]string{"state": "queued", "reason": f.reason, "requires": "authenticated", "rule": "protected",
			"reached": "", "mx": "mx." + f.name + ".test"})
		shownCertificate(t, f, got)
		if d := got.ExpiresAt.Sub(got.AcceptedAt); d != window {
			t.Errorf("%s: the window is %v", f.name, d)
		}
	}
	w.Await("dr@slow.test", harness.Waits("tls-timeout"))

	// When the window ends the sender gets exactly one report for each.
	for _, f := range append(faults(), fault{name: "slow", reason: "tls-timeout"}) {
		w.Await("dr@"+f.name+".test", harness.In("failed")).Want(t, map[string]string{"reason": f.reason})
		report := oneReport(t, w.Home(), "dr@"+f.name+".test")
		checkReport(t, report, f)
	}
	time.Sleep(2500 * time.Millisecond) // two more rounds, in which nothing must happen
	for name, p := range w.Hosts {
		if name == "mail.home.test" {
			continue
		}
		if lines := harness.Forbidden(p, false); len(lines) > 0 {
			t.Errorf("%s heard %q", name, lines)
		}
	}
	if n := len(w.Home().Messages()); n != len(faults())+1 {
		t.Errorf("%d reports, want %d", n, len(faults())+1)
	}
	if lines := harness.Forbidden(w.Home(), true); len(lines) > 0 {
		t.Errorf("the sender's server heard without TLS: %q", lines)
	}
	if len(slow.Commands()) == 0 {
		t.Error("the silent server was never tried")
	}
}

// shownCertificate checks what the trace says of names and dates.
func shownCertificate(t *testing.T, f fault, got harness.Trace) {
	t.Helper()
	if f.presented == "" {
		return
	}
	if !slices.Contains(got.Expected, "mx."+f.name+".test") || !slices.Contains(got.Presented, f.presented) {
		t.Errorf("%s: expected %q and presented %q", f.name, got.Expected, got.Presented)
	}
	if got.NotBefore == nil || got.NotAfter == nil || !got.NotBefore.Before(*got.NotAfter) {
		t.Errorf("%s: valid from %v until %v", f.name, got.NotBefore, got.NotAfter)
	}
}

// oneReport is the only report at a server about a recipient.
func oneReport(t *testing.T, at *partner.Partner, recipient string) partner.Message {
	t.Helper()
	about := "Final-Recipient: rfc822; " + recipient
	harness.Eventually(t, harness.Patience, "a report about "+recipient, func() bool { return len(harness.Bodies(at, about)) > 0 })
	reports := harness.Bodies(at, about)
	if len(reports) != 1 {
		t.Errorf("%d reports about %s", len(reports), recipient)
	}
	return reports[0]
}

var statusLine = regexp.MustCompile(`(?m)^Status: 5\.7\.\d+\r$`)

// checkReport holds a report about a forced delivery to design.md §9.
func checkReport(t *testing.T, m partner.Message, f fault) {
	t.Helper()
	if m.From != "" || !slices.Equal(m.To, []string{"anna@home.test"}) || !m.TLS {
		t.Errorf("%s: a report from <%s> to %q, TLS %v", f.name, m.From, m.To, m.TLS)
	}
	for _, part := range []string{"Content-Type: multipart/report", "report-type=delivery-status", "Action: failed\r\n", "text/rfc822-headers",
		"Diagnostic-Code: x-postern; " + f.reason + ":", "Subject: about secret of " + f.name, "protected"} {
		if !strings.Contains(unfold(m.Data), part) {
			t.Errorf("%s: no %q in the report:\n%s", f.name, part, m.Data)
		}
	}
	if !statusLine.MatchString(m.Data) {
		t.Errorf("%s: no status of class 5.7 in the report:\n%s", f.name, m.Data)
	}
	if strings.Contains(m.Data, "\nsecret of") {
		t.Errorf("%s: the report carries the body:\n%s", f.name, m.Data)
	}
	if f.presented != "" && (!strings.Contains(m.Data, f.presented) || !strings.Contains(m.Data, "mx."+f.name+".test")) {
		t.Errorf("%s: the report does not name what was expected and presented:\n%s", f.name, m.Data)
	}
}

// unfold joins continued header lines.
func unfold(s string) string {
	return strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(s)
}

func TestTheSamePeersGetMailWithoutARuleAtOnce(t *testing.T) {
	t.Parallel()
	w := crooked(t)
	w.Settings["delivery.retry"] = `["60s"]` // one attempt must do
	w.Start("")
	for _, f := range faults() {
		w.Send("anna@home.test", "open letter to "+f.name, "dr@"+f.name+".test")
	}
	for _, f := range faults() {
		reason := f.reason
		if f.ordinary != "" {
			reason = f.ordinary
		}
		got := w.Await("dr@"+f.name+".test", harness.In("delivered"))
		got.Want(t, map[string]string{"reached": f.reached, "reason": reason, "requires": "plaintext"})
		if (got.TLSVersion != "") != (f.reached != "plaintext") {
			t.Errorf("%s: TLS version %q", f.name, got.TLSVersion)
		}
		p := w.Hosts["mx."+f.name+".test"]
		if m := harness.Bodies(p, "open letter to "+f.name); len(m) != 1 || m[0].TLS != (f.reached != "plaintext") {
			t.Errorf("%s got %d messages: %+v", f.name, len(m), m)
		}
		if got.AttemptCount != 1 {
			t.Errorf("%s: %d attempts", f.name, got.AttemptCount)
		}
	}
	if got := w.Home().Messages(); len(got) != 0 {
		t.Errorf("the sender was told %d things", len(got))
	}
}

func TestANoticeOfForcedMailIsHeldRatherThanSentInTheClear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason string
		server       func(w *world) partner.Behaviour
	}{
		{"the sender's server has no TLS", "starttls-not-offered", func(*world) partner.Behaviour { return partner.Behaviour{} }},
		{"its certificate has expired", "cert-expired", func(w *world) partner.Behaviour { return w.Expired("mail.bare.test") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(t))
			w.Domain("clinic.test", w.Expired("mx.clinic.test"))
			bare := w.Partner("mail.bare.test", c.server(w))
			w.Own("bare.test", "mail.bare.test", "ca.pem")
			w.Start(harness.Force("protected", `"clinic.test"`, `defer = "3s"`))
			id := w.Send("ben@bare.test", "for the doctor only", "dr@clinic.test")
			w.Await("dr@clinic.test", harness.In("failed"))
			notice := w.Await("ben@bare.test", harness.In("held"))
			notice.Want(t, map[string]string{"reason": c.reason, "requires": "authenticated"})
			if notice.About != id || notice.Kind != "dsn" {
				t.Errorf("%s", notice.Raw)
			}
			if list := w.Postern("queue", "list"); !strings.Contains(list, "ben@bare.test") || !strings.Contains(list, "held") {
				t.Errorf("queue list:\n%s", list)
			}
			if show := w.Postern("queue", "show", notice.Message); !strings.Contains(show, c.reason) {
				t.Errorf("queue show:\n%s", show)
			}
			harness.Eventually(t, harness.Patience, "the administrator is told", func() bool { return strings.Contains(w.Log(), "notice held") })
			if figures := w.Get("/metrics", http.StatusOK); !regexp.MustCompile(`state="held"\} 1\n`).MatchString(figures) {
				t.Errorf("the figures do not tell of the notice:\n%s", figures)
			}
			if lines := harness.Forbidden(bare, false); len(lines) > 0 {
				t.Errorf("the sender's server heard %q", lines)
			}

			bare.Set(w.Good("mail.bare.test"))
			w.Run("", "queue", "release", notice.Message) // its own next try may be there first
			w.Await("ben@bare.test", harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
			oneReport(t, bare, "dr@clinic.test")
			if lines := harness.Forbidden(bare, true); len(lines) > 0 {
				t.Errorf("the sender's server heard without TLS: %q", lines)
			}
		})
	}
}
