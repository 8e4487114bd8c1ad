package acceptance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/test/harness"
)

var (
	promise   = []string{"PIPELINING", "8BITMIME", "REQUIRETLS"}
	noPromise = []string{"PIPELINING", "8BITMIME"}
)

// offers is a good server that offers keywords in the clear and inside TLS.
func (w *world) offers(host string, clear, inside []string) partner.Behaviour {
	b := w.Good(host)
	b.Keywords, b.Inside = clear, inside
	return b
}

// signed starts one partner for a domain, in DNS that is signed.
func (w *world) signed(domain string, b partner.Behaviour) *partner.Partner {
	w.Record(domain + " MX 10 mx." + domain)
	return w.Partner("mx."+domain, b)
}

// requireTLS hands in a message with REQUIRETLS.
func (w *world) requireTLS(params, text string, to ...string) {
	w.T.Helper()
	c := w.Connect("")
	defer c.Conn.Close()
	c.StartTLS(nil)
	c.Say("EHLO mail.home.test", "250")
	c.Say("MAIL FROM:<anna@home.test> REQUIRETLS"+params, "250")
	for _, r := range to {
		c.Say("RCPT TO:<"+r+">", "250")
	}
	c.Say("DATA", "354")
	c.Raw(harness.Message("anna@home.test", to, text))
	c.Say(".", "250")
	c.Say("QUIT", "221")
}

// said are the MAIL commands that a partner heard.
func said(p *partner.Partner) (out []string) {
	for _, c := range p.Commands() {
		if c.Verb == "MAIL" {
			out = append(out, c.Line)
		}
	}
	return out
}

func TestRequireTLSIsOfferedInsideTLSOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	c := w.Connect(harness.Stranger)
	if offer := c.Say("EHLO partner.test", "250"); strings.Contains(offer, "REQUIRETLS") {
		t.Errorf("offered in the clear: %q", offer)
	}
	c.Say("MAIL FROM:<b@partner.test> REQUIRETLS", "555 5.5.4")
	c.StartTLS(nil)
	if offer := c.Say("EHLO partner.test", "250"); !strings.Contains(offer, "-REQUIRETLS\r\n") {
		t.Errorf("not offered inside TLS: %q", offer)
	}
	c.Say("MAIL FROM:<b@partner.test> REQUIRETLS=1", "555 5.5.4")
}

// RFC 8689 §4.2.1 and §5, cases 9 and 34: to each host its own end; MAIL only where the promise is made inside TLS; the
// report at once, of headers only, and under the same promise.
func TestRequireTLSGoesOnlyWhereThePromiseIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Home().Set(w.offers("mail.home.test", nil, promise))
	keeps := w.signed("keeps.test", w.offers("mx.keeps.test", noPromise, promise))
	lacks := w.signed("lacks.test", w.offers("mx.lacks.test", noPromise, noPromise))
	clear := w.signed("clear.test", w.offers("mx.clear.test", promise, noPromise))
	late := w.signed("late.test", w.Expired("mx.late.test"))
	w.Record("second.test MX 10 mx.lacks.test", "second.test MX 20 mx.keeps.test")
	w.Start("")
	w.requireTLS(" RET=FULL", "for two hosts", "a@keeps.test", "a@lacks.test")
	w.requireTLS("", "promised in the clear", "a@clear.test")
	w.requireTLS("", "the second host will do", "a@second.test")
	w.requireTLS("", "may be mended", "a@late.test")

	sent := w.Await("a@keeps.test", harness.In("delivered"))
	sent.Want(t, map[string]string{"reached": "authenticated", "requires": "authenticated"})
	for _, part := range []string{`"policy":"requiretls"`, `"kind":"requiretls"`, `"requiretls":true`} {
		if !strings.Contains(sent.Raw, part) {
			t.Errorf("the trace lacks %s: %s", part, sent.Raw)
		}
	}
	w.Await("a@second.test", harness.In("delivered")).Want(t, map[string]string{"mx": "mx.keeps.test"})
	for _, line := range said(keeps) {
		if !strings.HasSuffix(line, " REQUIRETLS") {
			t.Errorf("said %q", line)
		}
	}
	for _, to := range []string{"a@lacks.test", "a@clear.test"} {
		back := w.Await(to, harness.In("failed"))
		back.Want(t, map[string]string{"reason": "requiretls-not-offered", "status": "5.7.30"})
		if took := back.FinishedAt.Sub(back.AcceptedAt); took > 10*time.Second || back.AttemptCount != 1 {
			t.Errorf("%s failed after %v and %d attempts", to, took, back.AttemptCount)
		}
		report := oneReport(t, w.Home(), to)
		if !strings.Contains(report.Data, "Status: 5.7.30\r\n") || !strings.Contains(report.Data, "text/rfc822-headers") ||
			strings.Contains(report.Data, "\nfor two hosts") || strings.Contains(report.Data, "\npromised in") || !report.TLS {
			t.Errorf("the report about %s:\n%s", to, report.Data)
		}
	}
	for _, line := range said(w.Home()) {
		if line != "MAIL FROM:<> REQUIRETLS" {
			t.Errorf("the report went with %q", line)
		}
	}
	w.Await("a@late.test", harness.Waits("cert-expired"))
	late.Set(w.offers("mx.late.test", noPromise, promise))
	w.Await("a@late.test", harness.In("delivered"))
	if heard := append(said(lacks), said(clear)...); len(heard) > 0 {
		t.Errorf("heard %q", heard)
	}
}

func TestAReportOfRequireTLSIsHeldWhereThePromiseIsNotMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signed("lacks.test", w.offers("mx.lacks.test", noPromise, noPromise))
	w.Start("")
	w.requireTLS("", "nobody promises", "a@lacks.test")
	w.Await("a@lacks.test", harness.In("failed"))
	w.Await("anna@home.test", harness.In("held")).Want(t, map[string]string{"reason": "requiretls-not-offered"})
	if heard := said(w.Home()); len(heard) > 0 {
		t.Errorf("the sender's server heard %q", heard)
	}
	w.Home().Set(w.offers("mail.home.test", nil, promise))
	w.Await("anna@home.test", harness.In("delivered"))
}

// TLS-Required: No (RFC 8689 §3) over TLSA records that match nothing.
func TestTLSRequiredNoSetsAsideWhatIsPublishedAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{true, false} {
		t.Run(fmt.Sprint("tls_required_no = ", allowed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if !allowed {
				w.Settings["policies.tls_required_no"] = "false"
			}
			mismatch := func(domain string, b partner.Behaviour) *partner.Partner {
				p := w.signed(domain, b)
				w.Record(fmt.Sprintf("_%d._tcp.mx.%s TLSA 3 1 1 %s", w.Port, domain, strings.Repeat("ab", 32)))
				return p
			}
			open := mismatch("open.test", w.Offers(pki.Options{SelfSigned: true, Names: []string{"mx.open.test"}}))
			forced := mismatch("forced.test", w.Offers(pki.Options{SelfSigned: true, Names: []string{"mx.forced.test"}}))
			w.Start(harness.Force("protected", `"forced.test"`))
			waive := func(field, to string) {
				c := w.Connect("")
				defer c.Conn.Close()
				c.Say("EHLO mail.home.test", "250")
				c.Transaction("anna@home.test", []string{to}, field+harness.Message("anna@home.test", []string{to}, "waived"))
			}
			waive("", "kept@open.test")
			waive("TLS-Required: no\r\n", "waived@open.test")
			waive("TLS-Required: No\r\nTLS-Required: No\r\n", "twice@open.test")
			waive("TLS-Required: No\r\n", "a@forced.test")
			if allowed {
				got := w.Await("waived@open.test", harness.In("delivered"))
				got.Want(t, map[string]string{"reached": "encrypted"})
				if !strings.Contains(strings.Join(got.Notes, "\n"), "TLS-Required: No") {
					t.Errorf("no note: %s", got.Raw)
				}
			} else {
				w.Await("waived@open.test", harness.Waits("dane-mismatch"))
			}
			w.Await("kept@open.test", harness.Waits("dane-mismatch"))
			w.Await("twice@open.test", harness.Waits("dane-mismatch"))
			w.Await("a@forced.test", harness.Waits(map[bool]string{true: "cert-self-signed", false: "dane-mismatch"}[allowed]))
			if n := len(open.Messages()); n != map[bool]int{true: 1}[allowed] {
				t.Errorf("%d messages went", n)
			}
			if heard := said(forced); len(heard) > 0 {
				t.Errorf("the forced one heard %q", heard)
			}
		})
	}
}
