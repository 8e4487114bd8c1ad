// Package metrics counts events for Prometheus. Metrics is an event.Sink with a registry of its own; Definitions is the
// list of everything it exports. Cardinality is bounded by construction: a label value outside its closed list is
// counted as "other".
package metrics

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy"
)

// Metrics counts events. Safe for concurrent use; Emit never blocks.
type Metrics struct {
	registry   *prometheus.Registry
	counters   map[string]*prometheus.CounterVec
	gauges     map[string]*prometheus.GaugeVec
	histograms map[string]*prometheus.HistogramVec
	reasons    map[policy.Reason]bool
}

// New returns a Metrics that reads the queue's gauges through queue at every scrape. A nil queue leaves them out.
func New(queue func() (Queue, error)) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), counters: map[string]*prometheus.CounterVec{},
		gauges: map[string]*prometheus.GaugeVec{}, histograms: map[string]*prometheus.HistogramVec{},
		reasons: map[policy.Reason]bool{}}
	for _, info := range policy.Reasons() {
		m.reasons[info.Reason] = true
	}
	for _, d := range Definitions() {
		if !ofQueue(d.Name) && !ofState(d.Name) && d.Name != linesLost {
			m.define(d)
		}
	}
	m.begin()
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if queue != nil {
		m.registry.MustRegister(newQueueCollector(queue))
	}
	return m
}

func (m *Metrics) define(d Definition) {
	switch d.Kind {
	case Counter:
		m.counters[d.Name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
		m.registry.MustRegister(m.counters[d.Name])
	case Gauge:
		m.gauges[d.Name] = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.Name, Help: d.Help}, d.Labels)
		m.registry.MustRegister(m.gauges[d.Name])
	case Histogram:
		m.histograms[d.Name] = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.Name, Help: d.Help,
			Buckets: []float64{.1, .5, 1, 5, 30, 120, 600, 3600, 6 * 3600, 86400, 5 * 86400}}, d.Labels)
		m.registry.MustRegister(m.histograms[d.Name])
	}
}

// LinesLost has the metrics show how many lines of the log were lost, by asking. It is called once at most.
func (m *Metrics) LinesLost(read func() int64) {
	for _, d := range Definitions() {
		if d.Name == linesLost {
			m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: d.Name, Help: d.Help},
				func() float64 { return float64(read()) }))
		}
	}
}

// Handler serves the exposition format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

func (m *Metrics) add(name string, n float64, labels ...string) {
	m.counters[name].WithLabelValues(labels...).Add(n)
}

// Emit counts e.
func (m *Metrics) Emit(e event.Event) {
	switch e := e.(type) {
	case event.Connected:
		m.gauges[sessions].WithLabelValues(e.Listener).Inc()
	case event.Disconnected:
		m.gauges[sessions].WithLabelValues(e.Listener).Dec()
	case event.HandshakeFailed:
		m.add(handshakeFailures, 1, e.Listener)
	case event.ProxyRefused:
		if !e.Check {
			m.add(proxyRefused, 1, e.Listener)
		}
	case event.LoggedIn:
		m.add(logins, 1, result(e.OK))
	case event.Refused:
		m.add(refused, 1, code(e.Code))
	case event.FellShort:
		m.add(fellShort, 1, m.reason(e.Reason), yesOrNo(e.Trial))
	case event.RecipientAsked:
		m.add(recipientsAsked, 1, oneOf(string(e.Result), answers...))
	case event.Accepted:
		m.add(messagesAccepted, 1, leg(e.Leg), inboundLevel(e.TLS).String())
		m.add(recipientsAccepted, float64(e.Recipients), leg(e.Leg))
		m.add(bytesAccepted, float64(e.Size), leg(e.Leg))
	case event.Attempted:
		m.attempted(e)
	case event.Settled:
		m.settled(e)
	default:
		m.rest(e)
	}
}

func (m *Metrics) rest(e event.Event) {
	switch e := e.(type) {
	case event.RuleActed:
		m.add(ruleEffects, 1, oneOf(e.Effect, effects...), modeOf(e.Test))
	case event.NoticeQueued:
		m.add(notices, 1, oneOf(e.Kind, noticeKinds...))
	case event.PeerChanged:
		m.add(peerChanges, 1, oneOf(e.Change, changes...))
	case event.PolicyUnavailable:
		m.add(policyFaults, 1, oneOf(e.Fault, faults...), yesOrNo(e.Kept))
		if !e.Repeated {
			m.add(warnings, 1)
		}
	case event.ReportSent:
		m.reported(&e)
	case event.ReportReceived:
		m.add(reportsIn, 1, oneOf(e.Way, reportWays...), oneOf(string(e.Result), reportsEnd...),
			yesOrNo(e.Signer != ""))
	case event.WebRequested:
		m.add(webRequests, 1, oneOf(string(e.Page), pages...))
	case event.RecordsChecked:
		for code, n := range e.Findings {
			m.gauges[recordFindings].WithLabelValues(code).Set(float64(n))
		}
	case event.Raised:
		m.add(raised, float64(e.Deliveries))
	case event.RulesApplied:
		m.gauges[rulesRevision].WithLabelValues().Set(float64(e.Revision))
		m.gauges[rulesInForce].WithLabelValues().Set(float64(e.Rules))
	case event.AdminActed:
		m.add(adminActions, 1)
	case event.CertificateOrdered:
		m.ordered(e)
	case event.Warned, event.MXChanged, event.ClientPlain, event.CertificateEnding:
		m.add(warnings, 1)
	}
}

func (m *Metrics) ordered(e event.CertificateOrdered) {
	if e.Issued {
		m.add(certificateOrders, 1, "issued")
	}
	if e.Fault != "" {
		m.add(certificateOrders, 1, "failed")
		m.add(warnings, 1)
	}
}

func (m *Metrics) attempted(e event.Attempted) {
	if e.Attempt == nil {
		return
	}
	m.add(attempts, 1, leg(e.Leg), m.reason(e.Attempt.Reason))
	m.histograms[attemptTime].WithLabelValues(leg(e.Leg)).Observe(float64(e.Attempt.TookMS) / 1000)
}

func (m *Metrics) settled(e event.Settled) {
	level := e.Requires
	if e.State == "delivered" {
		level = e.Reached
		m.histograms[deliveryDelay].WithLabelValues(leg(e.Leg)).Observe(e.Delay.Seconds())
	}
	state := oneOf(e.State, states...)
	m.add(deliveries, 1, leg(e.Leg), state, level.String(), m.reason(e.Reason))
	if e.Would != "" {
		m.add(wouldDiffer, 1)
	}
	if e.TooLate {
		m.add(tooLate, 1, oneOf(e.Wished, wishes...))
	}
}

func (m *Metrics) reported(e *event.ReportSent) {
	result := "sent"
	if !e.OK {
		result = "failed"
		m.add(warnings, 1)
	}
	m.add(tlsReports, 1, oneOf(e.Way, reportWays...), result)
}

// reason keeps the closed list closed.
func (m *Metrics) reason(r policy.Reason) string {
	switch {
	case r == "":
		return "none"
	case m.reasons[r]:
		return string(r)
	}
	return "other"
}

// changes are the kinds of peers.ChangeKinds.
var changes = []string{"tls-lost", "tls-returned", "key", "certificate", "tls-version", "group", "keywords",
	"certificate-expiring"}

// faults are those of stscache.Faults.
var faults = []string{"record-gone", "record-unknown", "record-invalid", "host-unknown", "host-private", "host-silent",
	"host-refused", "tls-failed", "certificate", "bad-status", "bad-answer", "policy-invalid", "not-yet", "busy"}

func leg(l event.Leg) string { return oneOf(string(l), append(inbound[:], outbound[:]...)...) }

// inboundLevel is the level of a client's connection: authenticated when its certificate was verified.
func inboundLevel(t *mail.TLS) policy.Level {
	switch {
	case t == nil:
		return policy.Plaintext
	case t.Client != nil && t.Client.Verified:
		return policy.Authenticated
	}
	return policy.Encrypted
}

func code(c int) string {
	if c < 400 || c > 599 {
		return "other"
	}
	return strconv.Itoa(c)
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func result(ok bool) string {
	if ok {
		return "ok"
	}
	return "failed"
}

// oneOf returns value if it is in the list, else "other".
func oneOf(value string, list ...string) string {
	for _, v := range list {
		if v == value {
			return v
		}
	}
	return "other"
}
