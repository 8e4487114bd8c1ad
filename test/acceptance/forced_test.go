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
)

// force is a rule of an unticked box over recipient patterns, with further keys of its force_tls table.
func force(name, recipients string, keys ...string) string {
	return fmt.Sprintf("[[rule]]\nname = %q\nscope = \"outbound\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [%s]\n[rule.force_tls]\n%s\n",
		name, recipients, strings.Join(keys, "\n"))
}

// crooked is a world with every fault, and a server for the sender in each state a sender's server can be in.
func crooked(t *testing.T) *world {
	w := newWorld(t)
	for _, f := range faults() {
		w.domain(f.name+".test", f.behave(w, "mx."+f.name+".test"))
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
	slow := w.domain("slow.test", broken(partner.HangsTLS)(w, "mx.slow.test"))
	const window = 9 * time.Second
	w.start(force("protected", strings.Join(all, ", "), `defer = "9s"`))
	for _, f := range faults() {
		w.send("anna@home.test", "secret of "+f.name, "dr@"+f.name+".test")
	}
	w.send("anna@home.test", "secret of slow", "dr@slow.test")

	// It waits, and the trace says why.
	for _, f := range faults() {
		got := w.await("dr@"+f.name+".test", func(tr trace) bool { return tr.Reason != "" })
		got.want(t, map[string]string{"state": "queued", "reason": f.reason, "requires": "authenticated", "rule": "protected",
			"reached": "", "mx": "mx." + f.name + ".test"})
		shownCertificate(t, f, got)
		if d := got.ExpiresAt.Sub(got.AcceptedAt); d != window {
			t.Errorf("%s: the window is %v", f.name, d)
		}
	}
	w.await("dr@slow.test", waits("tls-timeout"))

	// When the window ends the sender gets exactly one report for each.
	for _, f := range append(faults(), fault{name: "slow", reason: "tls-timeout"}) {
		w.await("dr@"+f.name+".test", in("failed")).want(t, map[string]string{"reason": f.reason})
		report := oneReport(t, w.home(), "dr@"+f.name+".test")
		checkReport(t, report, f)
	}
	time.Sleep(2500 * time.Millisecond) // two more rounds, in which nothing must happen
	for name, p := range w.hosts {
		if name == "mail.home.test" {
			continue
		}
		if lines := forbidden(p, false); len(lines) > 0 {
			t.Errorf("%s heard %q", name, lines)
		}
	}
	if n := len(w.home().Messages()); n != len(faults())+1 {
		t.Errorf("%d reports, want %d", n, len(faults())+1)
	}
	if lines := forbidden(w.home(), true); len(lines) > 0 {
		t.Errorf("the sender's server heard without TLS: %q", lines)
	}
	if len(slow.Commands()) == 0 {
		t.Error("the silent server was never tried")
	}
}

// shownCertificate checks what the trace says of names and dates.
func shownCertificate(t *testing.T, f fault, got trace) {
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
	eventually(t, patience, "a report about "+recipient, func() bool { return len(bodies(at, about)) > 0 })
	reports := bodies(at, about)
	if len(reports) != 1 {
		t.Errorf("%d reports about %s", len(reports), recipient)
	}
	return reports[0]
}

var statusLine = regexp.MustCompile(`(?m)^Status: 5\.7\.\d+\r$`)

// checkReport holds a report about a forced delivery to DESIGN §9.
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
	w.settings["delivery.retry"] = `["60s"]` // one attempt must do
	w.start("")
	for _, f := range faults() {
		w.send("anna@home.test", "open letter to "+f.name, "dr@"+f.name+".test")
	}
	for _, f := range faults() {
		reason := f.reason
		if f.ordinary != "" {
			reason = f.ordinary
		}
		got := w.await("dr@"+f.name+".test", in("delivered"))
		got.want(t, map[string]string{"reached": f.reached, "reason": reason, "requires": "plaintext"})
		if (got.TLSVersion != "") != (f.reached != "plaintext") {
			t.Errorf("%s: TLS version %q", f.name, got.TLSVersion)
		}
		p := w.hosts["mx."+f.name+".test"]
		if m := bodies(p, "open letter to "+f.name); len(m) != 1 || m[0].TLS != (f.reached != "plaintext") {
			t.Errorf("%s got %d messages: %+v", f.name, len(m), m)
		}
		if got.AttemptCount != 1 {
			t.Errorf("%s: %d attempts", f.name, got.AttemptCount)
		}
	}
	if got := w.home().Messages(); len(got) != 0 {
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
		{"its certificate has expired", "cert-expired", func(w *world) partner.Behaviour { return w.expired("mail.bare.test") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.settings["admin.listen"] = fmt.Sprintf("%q", freeAddress(t))
			w.domain("clinic.test", w.expired("mx.clinic.test"))
			bare := w.partner("mail.bare.test", c.server(w))
			w.own("bare.test", "mail.bare.test", "ca.pem")
			w.start(force("protected", `"clinic.test"`, `defer = "3s"`))
			id := w.send("ben@bare.test", "for the doctor only", "dr@clinic.test")
			w.await("dr@clinic.test", in("failed"))
			notice := w.await("ben@bare.test", in("held"))
			notice.want(t, map[string]string{"reason": c.reason, "requires": "authenticated"})
			if notice.About != id || notice.Kind != "dsn" {
				t.Errorf("%s", notice.raw)
			}
			if list := w.postern("queue", "list"); !strings.Contains(list, "ben@bare.test") || !strings.Contains(list, "held") {
				t.Errorf("queue list:\n%s", list)
			}
			if show := w.postern("queue", "show", notice.Message); !strings.Contains(show, c.reason) {
				t.Errorf("queue show:\n%s", show)
			}
			eventually(t, patience, "the administrator is told", func() bool { return strings.Contains(w.log(), "notice held") })
			if figures := w.get("/metrics", http.StatusOK); !regexp.MustCompile(`state="held"\} 1\n`).MatchString(figures) {
				t.Errorf("the figures do not tell of the notice:\n%s", figures)
			}
			if lines := forbidden(bare, false); len(lines) > 0 {
				t.Errorf("the sender's server heard %q", lines)
			}

			bare.Set(w.good("mail.bare.test"))
			w.postern("queue", "release", notice.Message)
			w.await("ben@bare.test", in("delivered")).want(t, map[string]string{"reached": "authenticated"})
			oneReport(t, bare, "dr@clinic.test")
			if lines := forbidden(bare, true); len(lines) > 0 {
				t.Errorf("the sender's server heard without TLS: %q", lines)
			}
		})
	}
}
