package maillog

import (
	"log/slog"
	"strings"

	"postern/internal/event"
	"postern/internal/policy"
)

// line says how an event is written: its level, its first word, its pairs. An event this release does not know gives
// "".
func line(e event.Event) (slog.Level, string, attrs) {
	var a attrs
	switch e := e.(type) {
	case event.Started:
		a.text("listener", e.Listener)
		a.text("address", e.Address)
		a.text("mode", e.Mode)
		return slog.LevelInfo, "listening", a
	case event.Connected:
		a.text("listener", e.Listener)
		a.ip("client", e.Client)
		return slog.LevelDebug, "connected", a
	case event.Disconnected:
		a.text("listener", e.Listener)
		a.ip("client", e.Client)
		a.number("messages", int64(e.Messages))
		a.took("took", e.Took)
		a.text("why", e.Why)
		return slog.LevelDebug, "disconnected", a
	case event.HandshakeFailed:
		a.text("listener", e.Listener)
		a.ip("client", e.Client)
		a.text("text", e.Text)
		return slog.LevelWarn, "tls-failed", a
	case event.ProxyRefused:
		return proxyLine(e)
	case event.LoggedIn:
		return loginLine(e)
	case event.Refused:
		return refusedLine(e)
	case event.RecipientAsked:
		return askedLine(e)
	case event.FellShort:
		return shortLine(e)
	case event.Accepted:
		return acceptedLine(e)
	case event.ClientPlain:
		return clientLine(e)
	case event.Attempted:
		return attemptedLine(e)
	case event.ReportSent:
		return reportLine(e)
	case event.ReportReceived:
		return reportInLine(e)
	case event.PassedOver:
		a.text("to", e.Domain.String())
		a.why(e.Attempt.Reason, e.Attempt.Text)
		return slog.LevelDebug, "passed-over", a
	case event.Settled:
		return settledLine(e)
	case event.PeerChanged:
		return peerLine(e)
	case event.MXChanged:
		return mxLine(e)
	case event.PolicyUnavailable:
		return policyLine(e)
	case event.WebRequested:
		return webLine(e)
	case event.CertificateOrdered:
		return orderLine(e)
	case event.CertificateEnding:
		return endingLine(e)
	case event.RecordsChecked:
		n := 0
		for _, some := range e.Findings {
			n += some
		}
		a.number("findings", int64(n))
		return slog.LevelDebug, "records-checked", a
	}
	return adminLine(e)
}

// proxyLine tells of a load balancer that does not say for whom it comes.
func proxyLine(e event.ProxyRefused) (slog.Level, string, attrs) {
	var a attrs
	a.text("listener", e.Listener)
	a.ip("client", e.Balancer)
	a.text("text", e.Text)
	a.text("hint", e.Hint)
	if e.Check || e.Again {
		return slog.LevelDebug, "proxy-refused", a
	}
	return slog.LevelWarn, "proxy-refused", a
}

// reportLine tells of a report about TLS. That one could not be sent is no matter of mail, and somebody misses it.
func reportLine(e event.ReportSent) (slog.Level, string, attrs) {
	var a attrs
	a.text("day", e.Day)
	a.text("domain", e.Domain)
	a.text("to", e.To)
	a.text("text", e.Text)
	if e.OK {
		return slog.LevelInfo, "tls-report-sent", a
	}
	a.text("hint", "postern reports list")
	return slog.LevelWarn, "tls-report-failed", a
}

// reportInLine tells of a report of somebody else.
func reportInLine(e event.ReportReceived) (slog.Level, string, attrs) {
	var a attrs
	a.text("way", e.Way)
	a.ip("client", e.Client)
	a.text("signer", e.Signer)
	a.text("organization", e.Organization)
	a.text("id", e.ID)
	a.text("result", string(e.Result))
	a.text("text", e.Text)
	if e.Failed > 0 {
		a.number("failed", e.Failed)
		a.text("results", strings.Join(e.Results, ","))
	}
	return slog.LevelInfo, "tls-report-received", a
}

// webLine is for whoever looks why others have no policy.
func webLine(e event.WebRequested) (slog.Level, string, attrs) {
	var a attrs
	a.text("listener", e.Listener)
	a.ip("client", e.Client)
	a.text("page", string(e.Page))
	a.number("code", int64(e.Code))
	a.took("took", e.Took)
	return slog.LevelDebug, "web-request", a
}

// orderLine tells of an order for our own certificate.
func orderLine(e event.CertificateOrdered) (slog.Level, string, attrs) {
	var a attrs
	a.text("names", strings.Join(e.Names, " "))
	a.text("missing", strings.Join(e.Missing, " "))
	a.at("ends", e.End)
	a.at("next", e.Next)
	a.text("text", e.Fault)
	if e.Issued {
		a = append(a, slog.Bool("same_key", e.SameKey))
	}
	if e.Temporary {
		a = append(a, slog.Bool("temporary", true))
	}
	if e.Fault != "" {
		return slog.LevelWarn, "certificate-order-failed", a
	}
	return slog.LevelInfo, "certificate-issued", a
}

// endingLine tells of a certificate of ours that runs out.
func endingLine(e event.CertificateEnding) (slog.Level, string, attrs) {
	var a attrs
	a.text("kind", e.Kind)
	a.text("name", e.Name)
	a.at("ends", e.End)
	a.number("days", int64(e.Step))
	a.text("text", e.Fault)
	return slog.LevelWarn, "certificate-ending", a
}

func loginLine(e event.LoggedIn) (slog.Level, string, attrs) {
	var a attrs
	a.text("listener", e.Listener)
	a.ip("client", e.Client)
	a.text("user", e.User)
	if e.OK {
		return slog.LevelInfo, "login", a
	}
	return slog.LevelWarn, "login-failed", a
}

func refusedLine(e event.Refused) (slog.Level, string, attrs) {
	var a attrs
	a.text("listener", e.Listener)
	a.ip("client", e.Client)
	a.text("command", e.Command)
	a.text("from", e.From)
	a.text("to", e.To)
	a.number("code", int64(e.Code))
	a.text("status", e.Status)
	a.text("text", e.Text)
	return slog.LevelInfo, "refused", a
}

// shortLine tells of a client that a rule about incoming mail refuses, or would refuse. The command is told by a line
// of its own.
func shortLine(e event.FellShort) (slog.Level, string, attrs) {
	var a attrs
	a.text("listener", e.Listener)
	a.ip("client", e.Client)
	a.text("helo", e.Helo)
	a.address("from", e.From)
	var to []string
	for _, r := range e.To[:min(len(e.To), 10)] {
		to = append(to, r.String())
	}
	a.text("to", strings.Join(to, ", "))
	a.text("message", e.Message)
	a.text("rule", strings.Join(e.Rules, ", "))
	a.text("requires", e.Requires.String())
	a.why(e.Reason, e.Text)
	a.tls(e.TLS)
	a.text("names", strings.Join(e.Names, ", "))
	if e.Trial {
		return slog.LevelInfo, "inbound-trial", a
	}
	return slog.LevelWarn, "inbound-refused", a
}

// askedLine is for whoever looks why a recipient was refused; what was taken is told by other lines.
func askedLine(e event.RecipientAsked) (slog.Level, string, attrs) {
	var a attrs
	a.address("to", e.To)
	a.text("result", string(e.Result))
	a.text("mx", e.Host)
	a.text("text", e.Text)
	a.took("took", e.Took)
	if e.Result == event.RecipientUnknown {
		return slog.LevelInfo, "recipient-asked", a
	}
	return slog.LevelDebug, "recipient-asked", a
}

func acceptedLine(e event.Accepted) (slog.Level, string, attrs) {
	var a attrs
	a.text("message", e.Message)
	a.text("message_id", e.MessageID)
	a.text("leg", string(e.Leg))
	a.address("from", e.From)
	a.number("recipients", int64(e.Recipients))
	a.number("size", e.Size)
	a.ip("client", e.Client)
	a.text("helo", e.Helo)
	a.text("user", e.User)
	a.tls(e.TLS)
	a.took("took", e.Took)
	return slog.LevelInfo, "accepted", a
}

func clientLine(e event.ClientPlain) (slog.Level, string, attrs) {
	var a attrs
	a.text("kind", string(e.Kind))
	a.ip("client", e.Client)
	a.text("helo", e.Helo)
	a.text("listener", e.Listener)
	a.text("message", e.Message)
	a.text("rule", strings.Join(e.Rules, ", "))
	a.at("last_tls", e.LastTLS)
	a.text("hint", "turn on TLS at that client; relay.require = \"encrypted\" refuses mail without")
	return slog.LevelWarn, "client-plaintext", a
}

func attemptedLine(e event.Attempted) (slog.Level, string, attrs) {
	var a attrs
	a.text("site", e.Site)
	a.text("leg", string(e.Leg))
	level := slog.LevelDebug
	if e.Attempt != nil {
		a.why(e.Attempt.Reason, e.Attempt.Text)
		a.try(e.Attempt)
		a.number("connections", int64(len(e.Attempt.Tries)))
		a.number("took_ms", e.Attempt.TookMS)
		if e.Attempt.Used() == nil {
			level = slog.LevelInfo
		}
	}
	return level, "attempted", a
}

// peerLine warns of what somebody should look at; the rest is for whoever looks back.
func mxLine(e event.MXChanged) (slog.Level, string, attrs) {
	var a attrs
	a.text("domain", e.Domain)
	a.text("rule", strings.Join(e.Rules, ", "))
	a.text("mx", strings.Join(e.Hosts, ", "))
	a.text("found", strings.Join(e.Found, ", "))
	a.text("known", strings.Join(e.Known, ", "))
	if len(e.Seen) > 0 {
		a.text("seen", strings.Join(e.Seen, ", "))
	}
	if e.Waits {
		a.text("waits", "yes")
	}
	a.text("hint", "ask the partner whether that is right; then: "+
		"postern peers approve "+e.Domain+" "+strings.Join(e.Found, " "))
	return slog.LevelWarn, "mx-changed", a
}

// policyLine warns once a day; what is repeated is for whoever looks closely.
func policyLine(e event.PolicyUnavailable) (slog.Level, string, attrs) {
	var a attrs
	a.text("domain", e.Domain)
	a.text("policy", policy.PublishedSTS)
	a.text("fault", e.Fault)
	a.text("text", e.Text)
	kept := "no"
	if e.Kept {
		kept = "yes"
	}
	a.text("kept", kept)
	if e.Repeated {
		return slog.LevelDebug, "policy-unavailable", a
	}
	a.text("hint", "the domain's administrators must act; `postern policies show "+e.Domain+"` tells more")
	return slog.LevelWarn, "policy-unavailable", a
}

func peerLine(e event.PeerChanged) (slog.Level, string, attrs) {
	var a attrs
	a.text("change", e.Change)
	a.text("mx", e.Host)
	a.ip("ip", e.IP)
	a.number("port", int64(e.Port))
	a.text("before", e.Before)
	a.text("after", e.After)
	a.text("mail", e.Mail)
	if e.UnderRule {
		a.text("under_rule", "yes")
	}
	if e.Change == "tls-lost" || e.Change == "certificate-expiring" {
		return slog.LevelWarn, "peer-changed", a
	}
	return slog.LevelInfo, "peer-changed", a
}

// ruleLine says what a rule did, or would have.
func ruleLine(e event.RuleActed) (slog.Level, string, attrs) {
	var a attrs
	a.text("rule", e.Rule)
	a.text("effect", e.Effect)
	a.text("message", e.Message)
	a.address("from", e.From)
	a.address("to", e.To)
	a.text("text", e.Text)
	if e.Test {
		a.text("mode", "test")
	}
	return slog.LevelInfo, "rule", a
}

// settledLine is the line people grep for: one delivery, its state as the first word.
func settledLine(e event.Settled) (slog.Level, string, attrs) {
	var a attrs
	a.text("message", e.Message)
	a.text("leg", string(e.Leg))
	a.address("from", e.From)
	a.address("to", e.To)
	a.text("rule", e.Rule)
	a.text("requires", e.Requires.String())
	if e.State == "delivered" {
		a.text("reached", e.Reached.String())
	}
	a.why(e.Reason, e.Text)
	a.try(e.Attempt)
	a.took("delay", e.Delay)
	a.at("next_attempt_at", e.Next)
	a.text("would", e.Would)
	a.text("wished", e.Wished)
	a.text("wished_by", e.WishedBy)
	if e.TooLate {
		a.text("wish", "too late")
	}
	level := slog.LevelInfo
	if e.State == "failed" || e.State == "held" || e.TooLate {
		level = slog.LevelWarn
	}
	return level, e.State, a
}

func adminLine(e event.Event) (slog.Level, string, attrs) {
	var a attrs
	switch e := e.(type) {
	case event.RuleActed:
		return ruleLine(e)
	case event.HoldEnded:
		a.text("message", e.Message)
		a.text("rule", e.Rule)
		a.text("then", e.Then)
		a.address("from", e.From)
		a.address("to", e.To)
		return slog.LevelWarn, "hold-ended", a
	case event.NoticeQueued:
		a.text("message", e.Message)
		a.text("about", e.About)
		a.text("kind", e.Kind)
		a.address("to", e.To)
		if e.Held {
			a.text("state", "held")
		}
		return slog.LevelInfo, "notice", a
	case event.Raised:
		a.number("revision", e.Revision)
		a.number("deliveries", int64(e.Deliveries))
		return slog.LevelInfo, "raised", a
	case event.RulesApplied:
		a.number("revision", e.Revision)
		a.number("rules", int64(e.Rules))
		a.text("by", e.By)
		return slog.LevelInfo, "rules-applied", a
	case event.AdminActed:
		a.text("by", e.By)
		a.text("action", e.Action)
		a.text("target", e.Target)
		a.number("count", int64(e.Count))
		return slog.LevelInfo, "admin", a
	case event.Warned:
		a.text("what", e.What)
		a.text("text", e.Text)
		a.text("hint", e.Hint)
		return slog.LevelWarn, "warning", a
	}
	return 0, "", nil
}
