package metrics

import (
	"strconv"

	"postern/internal/event"
	"postern/internal/policy"
)

// The closed lists of labels.
var (
	inbound     = [...]string{string(event.InWorld), string(event.InOwn)}
	outbound    = [...]string{string(event.OutOwn), string(event.OutWorld)}
	levels      = [...]string{policy.Plaintext.String(), policy.Encrypted.String(), policy.Authenticated.String()}
	states      = []string{"delivered", "deferred", "failed", "held", "cancelled"}
	effects     = []string{"reject", "hold", "redirect", "bcc", "add-header", "allow"}
	noticeKinds = []string{"dsn", "delay-notice", "alert", "tls-report"}
	reportWays  = []string{event.ReportMail, event.ReportWeb}
	wishes      = []string{"hold", "cancel"}
	answers     = []string{string(event.RecipientKnown), string(event.RecipientUnknown),
		string(event.RecipientUnanswered)}
	pages = []string{string(event.WebPolicy), string(event.WebPartners), string(event.WebChallenge),
		string(event.WebReport), string(event.WebNone)}
	orders     = []string{"issued", "failed"}
	reportsEnd = []string{string(event.ReportKept), string(event.ReportCopy), string(event.ReportRefused)}
	// replies are the codes that the gateway refuses commands with (RFC 5321 §4.2.3, RFC 4954 §6, RFC 7504 §4).
	replies = [...]int{421, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504, 521, 523, 530, 534, 535, 538, 550, 551,
		552, 553, 554, 555, 556}
)

// begin makes every counter of a closed list, at zero: a counter that appears with its first event shows no rise, and
// that event is the one which is not to be missed.
func (m *Metrics) begin() {
	for _, name := range []string{wouldDiffer, raised, adminActions, warnings} {
		m.add(name, 0)
	}
	for _, l := range inbound {
		m.add(recipientsAccepted, 0, l)
		m.add(bytesAccepted, 0, l)
		for _, level := range levels {
			m.add(messagesAccepted, 0, l, level)
		}
	}
	m.beginDeliveries()
	m.each(logins, "ok", "failed")
	m.each(peerChanges, changes...)
	for _, effect := range effects {
		m.add(ruleEffects, 0, effect, modeOf(false))
	}
	m.each(notices, noticeKinds...)
	for _, fault := range faults {
		m.add(policyFaults, 0, fault, yesOrNo(true))
		m.add(policyFaults, 0, fault, yesOrNo(false))
	}
	for _, way := range append(reportWays, "other") {
		m.add(tlsReports, 0, way, "sent")
		m.add(tlsReports, 0, way, "failed")
		for _, result := range reportsEnd {
			m.add(reportsIn, 0, way, result, yesOrNo(true))
			m.add(reportsIn, 0, way, result, yesOrNo(false))
		}
	}
	m.each(tooLate, wishes...)
	m.each(recipientsAsked, answers...)
	m.each(webRequests, pages...)
	m.each(certificateOrders, orders...)
	m.beginShort()
	m.each(refused, "other")
	for _, code := range replies {
		m.add(refused, 0, strconv.Itoa(code))
	}
}

// beginShort makes the counters of clients that fall short: of what their channel or certificate lacks, or we do not
// know.
func (m *Metrics) beginShort() {
	for _, info := range policy.Reasons() {
		switch info.Class {
		case policy.OfTLS, policy.OfCertificate, policy.OfRevocation, policy.OfOurs:
			m.add(fellShort, 0, string(info.Reason), yesOrNo(false))
			m.add(fellShort, 0, string(info.Reason), yesOrNo(true))
		}
	}
}

// beginDeliveries makes the counters of the ways out. What was cancelled has no reason.
func (m *Metrics) beginDeliveries() {
	reasons := []string{"none"}
	for _, info := range policy.Reasons() {
		reasons = append(reasons, string(info.Reason))
	}
	for _, l := range outbound {
		m.histograms[attemptTime].WithLabelValues(l)
		m.histograms[deliveryDelay].WithLabelValues(l)
		for _, reason := range reasons {
			m.add(attempts, 0, l, reason)
			for _, level := range levels {
				for _, state := range states {
					if state != "cancelled" || reason == "none" {
						m.add(deliveries, 0, l, state, level, reason)
					}
				}
			}
		}
	}
}

// each makes the counters of a name with one label.
func (m *Metrics) each(name string, values ...string) {
	for _, v := range values {
		m.add(name, 0, v)
	}
}

// Listeners makes the counters of listeners, at zero.
func (m *Metrics) Listeners(names ...string) {
	for _, name := range names {
		m.gauges[sessions].WithLabelValues(name)
		m.add(handshakeFailures, 0, name)
		m.add(proxyRefused, 0, name)
	}
}

// modeOf is the mode of a rule that did something, or would have.
func modeOf(test bool) string {
	if test {
		return "test"
	}
	return "enforce"
}
