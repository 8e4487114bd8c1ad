package metrics

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("scrape: %d, %v", w.Code, err)
	}
	return string(b)
}

func TestEventsAreCountedByClosedLabels(t *testing.T) {
	m := New(nil)
	enc := &mail.TLS{Version: "TLSv1.3"}
	for _, e := range []event.Event{
		event.Connected{Listener: "smtp"}, event.Connected{Listener: "smtp"}, event.Disconnected{Listener: "smtp"},
		event.HandshakeFailed{Listener: "smtp"},
		event.Refused{Code: 550}, event.Refused{Code: 99999},
		event.LoggedIn{OK: true}, event.LoggedIn{},
		event.Accepted{Leg: event.InWorld, Recipients: 3, Size: 100}, event.Accepted{Leg: event.InOwn, Recipients: 1, Size: 50, TLS: enc},
		event.Attempted{Leg: event.OutWorld, Attempt: &attempt.Attempt{Reason: policy.CertExpired, TookMS: 1500}},
		event.Attempted{Leg: event.OutWorld, Attempt: &attempt.Attempt{Reason: "made-up"}},
		event.Settled{Leg: event.OutWorld, State: "delivered", Requires: policy.Plaintext, Reached: policy.Encrypted, Reason: policy.CertSelfSigned, Delay: time.Second},
		event.Settled{Leg: event.OutWorld, State: "deferred", Requires: policy.Authenticated, Reason: policy.CertExpired, Would: "r"},
		event.Settled{Leg: "nowhere", State: "lost"},
		event.Settled{Leg: event.OutOwn, State: "delivered", Wished: "cancel", TooLate: true},
		event.NoticeQueued{Kind: "dsn"}, event.RuleActed{Rule: "a", Effect: "bcc", Test: true}, event.Raised{Deliveries: 5}, event.RulesApplied{Revision: 7, Rules: 2}, event.Warned{}, event.AdminActed{},
	} {
		m.Emit(e)
	}
	got := scrape(t, m)
	for _, want := range []string{
		`postern_sessions{listener="smtp"} 1`,
		`postern_inbound_handshake_failures_total{listener="smtp"} 1`,
		`postern_refused_total{code="550"} 1`, `postern_refused_total{code="other"} 1`,
		`postern_logins_total{result="failed"} 1`,
		`postern_messages_accepted_total{leg="world-gateway",level="plaintext"} 1`,
		`postern_messages_accepted_total{leg="own-gateway",level="encrypted"} 1`,
		`postern_recipients_accepted_total{leg="world-gateway"} 3`,
		`postern_attempts_total{leg="gateway-world",reason="cert-expired"} 1`,
		`postern_attempts_total{leg="gateway-world",reason="other"} 1`,
		`postern_deliveries_total{leg="gateway-world",level="encrypted",reason="cert-self-signed",state="delivered"} 1`,
		`postern_deliveries_total{leg="gateway-world",level="authenticated",reason="cert-expired",state="deferred"} 1`,
		`postern_deliveries_total{leg="other",level="plaintext",reason="none",state="other"} 1`,
		`postern_delivery_delay_seconds_count{leg="gateway-world"} 1`,
		`postern_admin_actions_too_late_total{action="cancel"} 1`,
		`postern_raised_deliveries_total 5`, `postern_rules_revision 7`, `postern_rules 2`, `postern_warnings_total 1`,
		`postern_rule_effects_total{effect="bcc",mode="test"} 1`,
		`postern_notices_total{kind="dsn"} 1`, `postern_rules_would_differ_total 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	if strings.Contains(got, "made-up") || strings.Contains(got, "nowhere") {
		t.Error("a value outside the closed list became a label")
	}
}

func TestQueueGaugesAreReadAtTheScrapeAndNeverLie(t *testing.T) {
	q, err := Queue{States: map[string]int64{"queued": 4, "held": 1}, Bytes: 99, Oldest: time.Unix(1700000000, 0)}, error(nil)
	m := New(func() (Queue, error) { return q, err })
	got := scrape(t, m)
	for _, want := range []string{`postern_queue_deliveries{state="queued"} 4`, `postern_queue_bytes 99`,
		`postern_queue_oldest_timestamp_seconds 1.7e+09`, `postern_queue_readable 1`} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	err = errors.New("disk is gone")
	if got := scrape(t, m); strings.Contains(got, "postern_queue_deliveries") || !strings.Contains(got, "postern_queue_readable 0\n") {
		t.Error("an unreadable store must show as such and give no figures")
	}
}

func TestDefinitionsFollowTheNamingRules(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Definitions() {
		if seen[d.Name] || !strings.HasPrefix(d.Name, "postern_") || !strings.HasSuffix(d.Help, ".") {
			t.Errorf("%q: name used twice, without prefix, or help without a full stop", d.Name)
		}
		if (d.Kind == Counter) != strings.HasSuffix(d.Name, "_total") {
			t.Errorf("%q: counters and only counters end in _total", d.Name)
		}
		seen[d.Name] = true
	}
}

// Whoever watches a counter sees its first rise.
func TestCountersOfClosedListsBeginAtZero(t *testing.T) {
	m := New(nil)
	m.Listeners("world")
	begun := scrape(t, m)
	for _, d := range Definitions() {
		if d.Kind == Counter && d.Name != linesLost && !strings.Contains(begun, "\n"+d.Name) {
			t.Errorf("%s is not there", d.Name)
		}
	}
	for _, want := range []string{
		`postern_deliveries_total{leg="gateway-world",level="authenticated",reason="cert-expired",state="held"} 0`,
		`postern_deliveries_total{leg="gateway-own",level="plaintext",reason="none",state="delivered"} 0`,
		`postern_attempts_total{leg="gateway-world",reason="policy-unavailable"} 0`, `postern_messages_accepted_total{leg="own-gateway",level="authenticated"} 0`,
		`postern_refused_total{code="452"} 0`, `postern_logins_total{result="failed"} 0`, `postern_warnings_total 0`, `postern_peer_changes_total{change="tls-lost"} 0`,
		`postern_notices_total{kind="alert"} 0`, `postern_inbound_handshake_failures_total{listener="world"} 0`, `postern_sessions{listener="world"} 0`,
		`postern_delivery_delay_seconds_count{leg="gateway-world"} 0`, `postern_admin_actions_too_late_total{action="hold"} 0`,
	} {
		if !strings.Contains(begun, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	series := strings.Count(begun, "\npostern_")
	for _, info := range policy.Reasons() {
		m.Emit(event.Settled{Leg: event.OutWorld, State: "failed", Requires: policy.Authenticated, Reason: info.Reason})
		m.Emit(event.Attempted{Leg: event.OutOwn, Attempt: &attempt.Attempt{Reason: info.Reason}})
	}
	if got := strings.Count(scrape(t, m), "\npostern_"); got != series || series > 2000 {
		t.Errorf("%d series, %d at first", got, series)
	}
}

func TestStateIsReadAtTheScrape(t *testing.T) {
	m := New(nil)
	s := State{Ready: true, Free: 5, Kept: 3, ReloadGood: true, ReloadAt: time.Unix(1700000000, 0), Version: "1.2.3", Revision: "abc", Go: "go1",
		Certificates: []Certificate{{"server", "gw.test", time.Unix(20, 0)}, {"server", "gw.test", time.Unix(10, 0)}, {"client", "gw.test", time.Unix(30, 0)}}}
	m.Watch(func() State { return s })
	got := scrape(t, m)
	for _, want := range []string{`postern_ready 1`, `postern_disk_free_bytes 5`, `postern_disk_kept_bytes 3`, `postern_reload_success 1`, `postern_reload_timestamp_seconds 1.7e+09`,
		`postern_build_info{go="go1",revision="abc",version="1.2.3"} 1`,
		`postern_certificate_end_timestamp_seconds{kind="server",name="gw.test"} 10`, `postern_certificate_end_timestamp_seconds{kind="client",name="gw.test"} 30`} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	s = State{DiskUnknown: true}
	got = scrape(t, m)
	if !strings.Contains(got, "postern_ready 0\n") || !strings.Contains(got, "postern_reload_success 0\n") || strings.Contains(got, "disk_free") {
		t.Error("what changed is not shown, or what is not known is")
	}
}
