package examiner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/check"
	"postern/internal/gateway/deliver"
	"postern/internal/policy"
)

// soon is how long before its end a certificate is spoken of.
const soon = 30 * 24 * time.Hour

// findings lists what is worth knowing about a target and shows in no verdict, faults first. probes are those of each
// address, in the order of Report.Each.
func findings(r *check.Report, probes [][]probed, now time.Time) []check.Finding {
	var out []check.Finding
	n := -1
	r.Each(func(h *check.Host, a *check.Address) {
		n++
		add := func(s check.Severity, code string, who policy.Who, format string, args ...any) {
			out = append(out, check.Finding{Severity: s, Code: code, Text: fmt.Sprintf(format, args...), Who: who,
				Host: h.Name, IP: a.IP})
		}
		if a.Early == check.EarlyAccepted {
			add(check.Fault, check.EarlyBytesAccepted, policy.Them,
				"the server takes what is sent in the clear right after STARTTLS for something "+
					"said inside TLS; somebody on the way can slip in commands (RFC 3207 §4.2); its software needs "+
					"an update")
		}
		if a.Look == nil {
			return
		}
		expiring(a, now, add)
		sevenBit(a, add)
		rungs(a, add)
		trialFindings(a, add)
		insisting(a, add)
		wants(probes[n], a.Look.Alert, add)
	})
	out = append(out, differing(r)...)
	if f := r.Find(check.ForceTLS); f != nil && f.Passes() {
		switch {
		case slices.Contains(f.Notes, string(policy.MXUnproven)):
			out = append(out, check.Finding{Severity: check.Note, Code: check.MXUnproven, Who: policy.Us,
				Text: "the name of the mail host comes from DNS on trust, " +
					"so whoever can forge DNS answers chooses it; the keys `mx` and `names` of a rule avoid that"})
		case slices.Contains(f.Notes, deliver.NotePinnedFirst):
			out = append(out, check.Finding{Severity: check.Note, Code: check.MXUnproven, Who: policy.Us,
				Text: "the name of the mail host comes from DNS on trust: " +
					"a rule remembers it at its first delivery, and other names must be vouched for after that; " +
					"the key `names` of a rule needs no trust in DNS"})
		}
	}
	rank := []check.Severity{check.Fault, check.Warning, check.Note}
	slices.SortStableFunc(out, func(a, b check.Finding) int {
		return slices.Index(rank, a.Severity) - slices.Index(rank, b.Severity)
	})
	return out
}

type addFinding func(s check.Severity, code string, who policy.Who, format string, args ...any)

// sevenBit notes a server to which 8-bit content must be re-encoded.
func sevenBit(a *check.Address, add addFinding) {
	offers := a.Look.Inside
	if len(offers) == 0 {
		offers = a.Look.Offered
	}
	has := func(line string) bool { return strings.EqualFold(strings.TrimSpace(line), "8BITMIME") }
	if len(offers) > 0 && !slices.ContainsFunc(offers, has) {
		add(check.Note, check.NoEightBit, policy.Them, "the server does not offer 8BITMIME, so 8-bit content is "+
			"re-encoded on its way there, which breaks a DKIM signature; `signed_8bit` of [delivery] or of a "+
			"[[route]] returns signed mail instead")
	}
}

func expiring(a *check.Address, now time.Time, add addFinding) {
	for i, c := range a.Look.Chain {
		if left := c.NotAfter.Sub(now); left > 0 && left < soon {
			what := "the certificate"
			if i > 0 {
				what = "the intermediate certificate " + c.Subject
			}
			add(check.Warning, check.ExpirySoon, policy.Them, "%s %s", what, check.Ends(left, c.NotAfter))
		}
	}
}

// rungs speaks of what only a lower rung of TLS made possible.
func rungs(a *check.Address, add addFinding) {
	switch a.Look.Rung {
	case attempt.Classical:
		add(check.Warning, check.PostQuantumFails, policy.Them,
			"the handshake fails when post-quantum key exchange is offered and works without; "+
				"a server or a firewall before it does not cope with a ClientHello of more than one packet")
	case attempt.Legacy:
		if a.Look.TLS != nil {
			add(check.Warning, check.LegacyOnly, policy.Them, "TLS works only with what is outdated (%s, %s)",
				a.Look.TLS.Version, a.Look.TLS.Cipher)
		}
	}
}

// insisting speaks of a server that ends the conversation after a handshake in which it asked for our certificate: in
// TLS 1.3 that is when it can (RFC 8446 §4.4.2.4).
func insisting(a *check.Address, add addFinding) {
	if l := a.Look; l.Asked && l.TLS != nil && (l.Reason == policy.TLSAlert || l.Reason == policy.TLSClosed) {
		add(check.Fault, check.ClientCertificateAsked, policy.Them,
			"the server asks for a certificate of ours and breaks off because of what it gets. "+
				"A mail server must not insist on one")
	}
}

// trialFindings compares the kinds of certificates: a host may serve two, and renew only one.
func trialFindings(a *check.Address, add addFinding) {
	good, bad := "", (*check.Trial)(nil)
	for i := range a.Trials {
		t := &a.Trials[i]
		if !strings.HasSuffix(t.Name, " certificate") || !t.Works {
			continue
		}
		if t.Reason == "" {
			good = t.Name
		} else {
			bad = t
		}
	}
	if good != "" && bad != nil {
		add(check.Fault, check.ChainsDiffer, policy.Them, "the server's %s is good and its %s is not: %s: %s", good,
			bad.Name, bad.Reason, bad.Text)
	}
}

// differing says so when one address passes and another does not: half of the mail would wait.
func differing(r *check.Report) []check.Finding {
	var good, bad []string
	r.Each(func(h *check.Host, a *check.Address) {
		for i := range a.Verdicts {
			switch v := &a.Verdicts[i]; {
			case v.Question != check.ForceTLS:
			case v.Passes():
				good = append(good, a.IP.String())
			case v.Answered:
				bad = append(bad, a.IP.String()+" ("+string(v.Reason)+")")
			}
		}
	})
	if len(good) == 0 || len(bad) == 0 {
		return nil
	}
	return []check.Finding{{Severity: check.Fault, Code: check.AddressesDiffer, Who: policy.Them,
		Text: "not all servers of this name are alike: " +
			strings.Join(bad, ", ") + " would not get forced mail, " + strings.Join(good, ", ") + " would"}}
}
