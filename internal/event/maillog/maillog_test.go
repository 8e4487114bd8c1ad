package maillog

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy"
)

var update = flag.Bool("update", false, "write the golden file anew")

// sample has one event of each kind.
func sample() []event.Event {
	client := netip.MustParseAddr("192.0.2.7")
	a, b := mail.MustAddress("a@example.com"), mail.MustAddress("b@clinic.test")
	tls := &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519MLKEM768",
		Client: &mail.ClientCertificate{Presented: true, Verified: true, Subject: "CN=app"}}
	failed := &attempt.Attempt{TookMS: 40, Reason: policy.CertExpired, Text: "valid until 2026-11-01", Notes: []string{"mx-unproven", "revocation-off"},
		Tries: []attempt.Try{{Host: "mx.clinic.test", IP: netip.MustParseAddr("192.0.2.9"), Port: 25, Rung: attempt.Modern, Reason: policy.CertExpired,
			Alert: "bad_certificate (local)", Evidence: &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.2", Cipher: "ECDHE-RSA-AES128-GCM-SHA256", Bits: 128},
				Chain: []policy.Certificate{{Subject: "CN=mx.clinic.test", SHA256: "ab12", NotAfter: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}}}}}}
	refused := &attempt.Attempt{Reason: policy.Remote5xx, Reply: &attempt.Reply{Code: 550, Status: "5.1.1", Text: "no such user"}}
	return []event.Event{
		event.Started{Listener: "smtp", Address: "[::]:25", Mode: "smtp"},
		event.Connected{Listener: "smtp", Client: client},
		event.Disconnected{Listener: "smtp", Client: client, Messages: 2, Took: 1500 * time.Millisecond, Why: "quit"},
		event.HandshakeFailed{Listener: "smtp", Client: client, Text: "remote error: bad certificate"},
		event.ProxyRefused{Listener: "smtp", Balancer: client, Text: "no PROXY header", Hint: "let it send one"},
		event.ProxyRefused{Listener: "smtp", Balancer: client, Text: "the connection was closed before a word", Check: true},
		event.Refused{Listener: "smtp", Client: client, Command: "RCPT", From: "x@y.test", To: "z@w.test", Code: 550, Status: "5.7.1", Text: "no relaying"},
		event.FellShort{Listener: "smtp", Client: client, Helo: "mx.clinic.test", From: b, Rules: []string{"clinic"}, Requires: policy.Authenticated,
			Reason: policy.CertNameMismatch, Text: "expected clinic.test, but the certificate is for other.test", TLS: tls, Names: []string{"other.test"}},
		event.FellShort{Listener: "smtp", Client: client, From: b, To: []mail.Address{a}, Message: "0a1b", Rules: []string{"clinic"}, Trial: true,
			Reason: policy.StartTLSNotOffered, Text: "the connection has no TLS"},
		event.LoggedIn{Listener: "sub", Client: client, User: "ann", OK: true},
		event.LoggedIn{Listener: "sub", Client: client, User: "bob"},
		event.RecipientAsked{To: b, Result: event.RecipientUnknown, Host: "mail.internal", Text: "550 5.1.1 nobody", Took: 5 * time.Millisecond},
		event.WebRequested{Listener: "web:443", Client: client, Page: event.WebPolicy, Code: 200, Took: time.Millisecond},
		event.ReportReceived{Way: event.ReportMail, Client: client, Signer: "google.test", Organization: "Google", ID: "0a1b-2c", Result: event.ReportKept,
			Failed: 3, Results: []string{"certificate-expired"}, Domains: []string{"home.test"}, News: true},
		event.ReportReceived{Way: event.ReportWeb, Client: client, Result: event.ReportRefused, Text: "it is XML"},
		event.RecordsChecked{Findings: map[string]int{"mx-missing": 1}},
		event.RecipientAsked{To: b, Result: event.RecipientUnanswered, Text: "it is not asked now"},
		event.Accepted{Leg: event.InOwn, Message: "0a1b", MessageID: "<m@x>", From: a, Recipients: 2, Size: 1234, Client: client, Helo: "app", TLS: tls, Took: 12 * time.Millisecond},
		event.ClientPlain{Kind: event.ClientForced, Client: client, Helo: "printer", Listener: "smtp", Message: "0a1b", Rules: []string{"clinic", "bank"}},
		event.ClientPlain{Kind: event.ClientLostTLS, Client: client, Helo: "mail", Listener: "smtp", Message: "0a1c",
			LastTLS: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)},
		event.Attempted{Site: "mx:clinic.test", Leg: event.OutWorld, Attempt: failed},
		event.PassedOver{Leg: event.OutWorld, Attempt: failed, Domain: mail.MustDomain("clinic.test")},
		event.ReportSent{Day: "2026-11-28", Domain: "clinic.test", To: "mailto:tls@clinic.test", Way: event.ReportMail, OK: true},
		event.ReportSent{Day: "2026-11-28", Domain: "clinic.test", To: "https://clinic.test/", Way: event.ReportWeb, Text: "clinic.test answers with HTTP status 503"},
		event.Settled{Leg: event.OutWorld, Message: "0a1b", From: a, To: b, State: "deferred", Rule: "clinic", Requires: policy.Authenticated,
			Attempt: failed, Reason: policy.CertExpired, Text: "valid until 2026-11-01", Delay: time.Hour, Next: time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)},
		event.Settled{Leg: event.OutWorld, Message: "0a1c", To: b, State: "failed", Attempt: refused, Reason: policy.Remote5xx},
		event.Settled{Leg: event.OutOwn, Message: "0a1d", From: a, To: b, State: "delivered", Reached: policy.Encrypted, Would: "test-rule"},
		event.Settled{Leg: event.OutOwn, Message: "0a1e", From: a, To: b, State: "cancelled", Wished: "cancel", WishedBy: "root"},
		event.Settled{Leg: event.OutOwn, Message: "0a1f", From: a, To: b, State: "delivered", Wished: "hold", WishedBy: "root", TooLate: true},
		event.RuleActed{Rule: "archive", Effect: "bcc", Text: "copy to archive@example.com", Message: "0a1b", From: a, To: b},
		event.RuleActed{Rule: "no", Effect: "reject", Text: "reject: not by mail", From: a, To: b, Test: true},
		event.HoldEnded{Rule: "look", Then: "return", Message: "0a1b", From: a, To: b},
		event.NoticeQueued{Message: "0a2b", About: "0a1b", Kind: "failed", To: a},
		event.Raised{Revision: 4, Deliveries: 17},
		event.RulesApplied{Revision: 4, Rules: 3, By: "root"},
		event.AdminActed{By: "root", Action: "queue retry", Target: "clinic.test", Count: 3},
		event.PeerChanged{Host: "mx.clinic.test", IP: netip.MustParseAddr("192.0.2.9"), Port: 25, Change: "tls-lost", Before: "TLSv1.3 until 2026-11-22T10:00:00Z",
			After: "starttls-stripped", Mail: "ordinary mail waits for TLS until 2026-11-23T14:00:00Z", UnderRule: true},
		event.PeerChanged{Host: "mx.shop.test", IP: netip.MustParseAddr("192.0.2.10"), Port: 25, Change: "group", Before: "X25519", After: "X25519MLKEM768"},
		event.MXChanged{Domain: "clinic.test", Rules: []string{"clinic"}, Hosts: []string{"mx1.evil.test", "mx2.evil.test"}, Found: []string{"evil.test"},
			Known: []string{"backup.test", "clinic.test"}, Waits: true},
		event.PolicyUnavailable{Domain: "clinic.test", Fault: "certificate", Text: "the certificate of mta-sts.clinic.test expired at 2026-11-01T00:00:00Z"},
		event.PolicyUnavailable{Domain: "clinic.test", Fault: "host-silent", Text: "mta-sts.clinic.test did not answer in time", Kept: true, Repeated: true},
		event.Warned{What: "rules", Text: "the rules file is broken", Hint: "run postern rules apply"},
	}
}

// render writes the events through a handler without times.
func render(json bool, events ...event.Event) string {
	var b bytes.Buffer
	opts := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	var h slog.Handler = slog.NewTextHandler(&b, opts)
	if json {
		h = slog.NewJSONHandler(&b, opts)
	}
	log := New(slog.New(h))
	for _, e := range events {
		log.Emit(e)
	}
	return b.String()
}

func TestEveryEventIsOneLineWithStableKeys(t *testing.T) {
	got := render(false, sample()...)
	if n := strings.Count(got, "\n"); n != len(sample()) {
		t.Errorf("%d lines for %d events", n, len(sample()))
	}
	golden := filepath.Join("testdata", "lines.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("lines differ from %s (run with -update after a wanted change):\n%s", golden, got)
	}
}

func TestTextOfStrangersCannotForgeALine(t *testing.T) {
	evil := "x\r\nlevel=INFO msg=accepted message=forged \x1b[31m \u202e" + strings.Repeat("y", 5000)
	events := []event.Event{
		event.Refused{Command: evil, From: evil, To: evil, Text: evil},
		event.Accepted{MessageID: evil, Helo: evil, User: evil, TLS: &mail.TLS{Client: &mail.ClientCertificate{Presented: true, Subject: evil}}},
		event.Settled{State: "deferred", Text: evil, Attempt: &attempt.Attempt{Notes: []string{evil}, Reply: &attempt.Reply{Text: evil},
			Tries: []attempt.Try{{Host: evil, Remote: evil, Alert: evil, Evidence: &policy.Evidence{Chain: []policy.Certificate{{Subject: evil}}}}}}},
	}
	for _, asJSON := range []bool{false, true} {
		got := render(asJSON, events...)
		if strings.Count(got, "\n") != len(events) || strings.ContainsAny(got, "\r\x1b\u202e") {
			t.Errorf("a stranger's text broke out of its value:\n%.500s", got)
		}
		if len(got) > 20000 {
			t.Errorf("three events made %d bytes of log", len(got))
		}
		for line := range strings.Lines(got) {
			if asJSON && !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %.200s", line)
			}
		}
	}
}
