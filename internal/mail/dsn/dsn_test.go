package dsn

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// expired is a forced delivery that waited out its window at a partner whose certificate has expired.
func expired() *Report {
	return &Report{
		ID: "0a1b2c3d4e5f6g7h", About: "0a1b2c3d4e000000",
		From: mail.MustAddress("postmaster@gw.example.com"), To: mail.MustAddress("a@example.com"),
		ReportingMTA: mail.MustDomain("gw.example.com"),
		Now:          noon, ArrivedAt: noon.Add(-24 * time.Hour),
		EnvID: "QQ314159+2B", Subject: "Quarterly figures", OriginalMessageID: "<m1@example.com>",
		Original: []byte("Received: from x\r\n\tby y\r\nSubject: Quarterly figures\r\nMessage-ID: <m1@example.com>\r\n\r\n"),
		Recipients: []Recipient{{
			Address: mail.MustAddress("dr@clinic.test"), ORCPT: "rfc822;Dr+2Bx@clinic.test",
			Action: Failed, Status: "4.7.5", Reason: policy.CertExpired,
			Text:  "the certificate was valid until 2026-11-01",
			Rules: []string{"clinic"}, Requires: policy.Authenticated,
			LastAttempt: noon.Add(-time.Minute), Tried: 30, Attempt: expiredAttempt(),
		}},
	}
}

func expiredAttempt() *attempt.Attempt {
	return &attempt.Attempt{At: noon.Add(-time.Minute), Reason: policy.CertExpired, Tries: []attempt.Try{
		{Host: "mx1.clinic.test", IP: netip.MustParseAddr("192.0.2.1"), Port: 25, Rung: attempt.Modern, Reason: policy.ConnectTimeout,
			Text: "no answer within 30s"},
		{Host: "mx2.clinic.test", IP: netip.MustParseAddr("2001:db8::2"), Port: 25, Rung: attempt.Modern, Reason: policy.CertExpired,
			Text: "the certificate was valid until 2026-11-01", Alert: "bad_certificate (remote)", Remote: "450 \x1b[31mgo away",
			Shortfalls: []policy.Shortfall{{Reason: policy.CertExpired, Text: "the certificate was valid until 2026-11-01"}},
			Evidence: &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519MLKEM768"},
				Expected: []string{"mx2.clinic.test"}, Presented: []string{"mx2.clinic.test", "evil\r\nBcc: x@y"},
				Chain: []policy.Certificate{{Subject: "CN=mx2.clinic.test", Issuer: "CN=Test CA", SHA256: "ab12",
					NotBefore: noon.AddDate(-1, 0, 0), NotAfter: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}}}},
	}}
}

func build(t *testing.T, r *Report) (string, *Parsed) {
	t.Helper()
	b, err := r.Build()
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	p, err := Parse(b)
	if err != nil {
		t.Fatalf("Parse of our own notice: %v\n%s", err, b)
	}
	return string(b), p
}

var update = flag.Bool("update", false, "write the golden files anew")

// The whole notice, as people and machines get it, so that a change of a word is a line in review.
func TestNoticesAsTheyAreSent(t *testing.T) {
	delayed := expired()
	delayed.Recipients[0].Action, delayed.Recipients[0].WillRetryUntil = Delayed, noon.Add(22*time.Hour)
	onward := expired()
	onward.Recipients[0] = delayed.Recipients[0]
	onward.Recipients[0].Next = []Way{{By: "clinic", Route: "portal", Until: noon.Add(46 * time.Hour)}}
	success := expired()
	success.Recipients[0] = Recipient{Address: mail.MustAddress("dr@clinic.test"), Action: Relayed, Reached: policy.Authenticated, Attempt: expiredAttempt()}
	success.Recipients[0].Attempt.Tries = success.Recipients[0].Attempt.Tries[1:]
	try := &success.Recipients[0].Attempt.Tries[0]
	try.Used, try.Reason, try.Text, try.Shortfalls, try.Alert, try.Remote = true, "", "", nil, "", ""
	for name, r := range map[string]*Report{"failed": expired(), "delayed": delayed, "onward": onward, "success": success} {
		got, _ := build(t, r)
		path := filepath.Join("testdata", name+".golden.eml")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("differs from %s (run with -update after a wanted change):\n%s", path, got)
		}
	}
}

func TestForcedFailureTellsEverythingAPersonNeeds(t *testing.T) {
	text, p := build(t, expired())
	for _, want := range []string{
		"could NOT be delivered", "<dr@clinic.test>", "Who must act", "What to do", "cert-expired 5.7.", "clinic",
		"Expected names:   mx2.clinic.test", "Valid until:      Sun, 01 Nov 2026 00:00:00 +0000", "CN=Test CA",
		"bad_certificate (remote)", "mx1.clinic.test [192.0.2.1]:25", "mx2.clinic.test [2001:db8::2]:25", "connect-timeout",
		`> 450 \x1b[31mgo away`, `evil\x0d\x0aBcc:`,
	} {
		if !strings.Contains(unwrap(p.Human), want) {
			t.Errorf("the first part lacks %q:\n%s", want, p.Human)
		}
	}
	r := p.Recipients[0]
	if r.Status[:2] != "5." || r.DiagnosticType != "x-postern" || !strings.HasPrefix(r.Diagnostic, "cert-expired: ") {
		t.Errorf("machine part says status %q, diagnostic %q %q", r.Status, r.DiagnosticType, r.Diagnostic)
	}
	if r.Final != "dr@clinic.test" || r.Original != "Dr+x@clinic.test" || r.RemoteMTA != "mx2.clinic.test" {
		t.Errorf("machine part names %q, %q, %q", r.Final, r.Original, r.RemoteMTA)
	}
	if p.EnvID != "QQ314159+" || p.ReportingMTA != "gw.example.com" || !p.ArrivedAt.Equal(noon.Add(-24*time.Hour)) {
		t.Errorf("message block: %q %q %v", p.EnvID, p.ReportingMTA, p.ArrivedAt)
	}
	if strings.Contains(text, "Bcc: x@y\r\n") && strings.Contains(text, "\r\nBcc:") {
		t.Error("a certificate's name became a header line")
	}
}

// unwrap joins the lines the page wrapped, keeping single spaces before aligned text.
func unwrap(s string) string {
	return strings.ReplaceAll(s, "\r\n"+strings.Repeat(" ", labelWidth+4), " ")
}

func TestHeaderOfTheNotice(t *testing.T) {
	text, p := build(t, expired())
	if p.From != "Mail gateway <postmaster@gw.example.com>" || p.To != "<a@example.com>" || p.AutoSubmitted != "auto-replied" {
		t.Errorf("From %q To %q Auto-Submitted %q", p.From, p.To, p.AutoSubmitted)
	}
	if p.Subject != "NOT delivered: Quarterly figures" || p.MessageID != "<0a1b2c3d4e5f6g7h@gw.example.com>" || !p.Date.Equal(noon) {
		t.Errorf("Subject %q Message-ID %q Date %v", p.Subject, p.MessageID, p.Date)
	}
	for _, want := range []string{"\r\nMIME-Version: 1.0\r\n", "\r\nReferences: <m1@example.com>\r\n", "report-type=delivery-status"} {
		if !strings.Contains(text, want) {
			t.Errorf("header lacks %q", want)
		}
	}
}

func TestDelayNoticeSaysThatTLSIsRequiredAndUntilWhen(t *testing.T) {
	r := expired()
	r.Recipients[0].Action = Delayed
	r.Recipients[0].WillRetryUntil = noon.Add(22 * time.Hour)
	_, p := build(t, r)
	flat := strings.Join(strings.Fields(p.Human), " ")
	for _, want := range []string{"waiting because TLS is required", "authenticated", "tries until Tue, 24 Nov 2026 10:00:00 +0000"} {
		if !strings.Contains(flat, want) {
			t.Errorf("the first part lacks %q:\n%s", want, p.Human)
		}
	}
	if got := p.Recipients[0]; !got.WillRetryUntil.Equal(noon.Add(22*time.Hour)) || got.Status[:2] != "4." || got.Action != Delayed {
		t.Errorf("machine part: %+v", got)
	}
	r.Recipients[0].Reason = policy.ConnectTimeout
	if _, p := build(t, r); strings.Contains(p.Human, "TLS is required") {
		t.Error("a host that does not answer is not waiting because of TLS")
	}
	r.Recipients[0].Reason, r.Recipients[0].Requires = policy.CertExpired, policy.Plaintext
	if _, p := build(t, r); strings.Contains(p.Human, "TLS is required") {
		t.Error("nothing is required of an ordinary delivery")
	}
}

// Ordinary mail that waits for what its recipient's domain publishes says so, and nothing of a rule.
func TestANoticeSaysThatThePublishedPolicyKeptItWaiting(t *testing.T) {
	for kind, want := range map[string]string{policy.PublishedDANE: "(DANE, TLSA records in signed DNS)", policy.PublishedSTS: "(an MTA-STS policy)"} {
		for mode, said := range map[string]bool{policy.Enforced: true, policy.Testing: false, policy.Observed: false} {
			r := expired()
			rcpt := &r.Recipients[0]
			rcpt.Action = Delayed
			rcpt.Requires, rcpt.Rules, rcpt.Reason = policy.Plaintext, nil, policy.DANEMismatch
			rcpt.Attempt = &attempt.Attempt{Reason: rcpt.Reason, Tries: []attempt.Try{{Host: "mx.clinic.test", Reason: rcpt.Reason,
				Published: []policy.Published{{Kind: kind, Mode: mode, Shortfalls: []policy.Shortfall{{Reason: rcpt.Reason, Text: "words"}}}}}}}
			_, parsed := build(t, r)
			text := strings.Join(strings.Fields(parsed.Human), " ")
			if strings.Contains(text, want) != said || strings.Contains(text, "a rule of your organisation") {
				t.Errorf("%s, %s:\n%s", kind, mode, text)
			}
		}
	}
}

// Who demands protection is said as it is, and what one can change in a rule where a rule demands.
func TestANoticeSaysWhoDemands(t *testing.T) {
	for asker, want := range map[string]string{policy.ByRule: "a rule of your organisation says", policy.FromRequireTLS: "REQUIRETLS, with which it was sent, says",
		policy.ByOwn: "the configuration of the gateway says"} {
		r := expired()
		rcpt := &r.Recipients[0]
		rcpt.Action, rcpt.Asker, rcpt.Reason = Delayed, asker, policy.CertSelfSigned
		if asker != policy.ByRule {
			rcpt.Rules = nil
		}
		_, parsed := build(t, r)
		text := strings.Join(strings.Fields(parsed.Human), " ")
		if !strings.Contains(text, want) || strings.Contains(text, "trust this one in the rule") != (asker == policy.ByRule) {
			t.Errorf("%s:\n%s", asker, text)
		}
	}
}

func TestSuccessSaysTheLevelReached(t *testing.T) {
	r := expired()
	a := expiredAttempt()
	a.Tries = a.Tries[1:]
	a.Tries[0].Used = true
	r.Recipients = []Recipient{
		{Address: mail.MustAddress("x@clinic.test"), Action: Delivered, Reached: policy.Authenticated, Attempt: a},
		{Address: mail.MustAddress("y@clinic.test"), Action: Relayed, Reached: policy.Plaintext, Reason: policy.StartTLSNotOffered},
	}
	_, p := build(t, r)
	flat := strings.Join(strings.Fields(p.Human), " ")
	for _, want := range []string{"authenticated: TLS", "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128 bits), key exchange X25519MLKEM768",
		"NOT encrypted", "(starttls-not-offered)", "sends no further notices"} {
		if !strings.Contains(flat, want) {
			t.Errorf("the first part lacks %q:\n%s", want, p.Human)
		}
	}
	for i, want := range []string{"authenticated", "plaintext"} {
		got := p.Recipients[i]
		if got.Fields["x-postern-reached"] != want || got.Status != "2.0.0" || got.Diagnostic != "" {
			t.Errorf("recipient %d: %+v", i, got)
		}
	}
	if !strings.HasPrefix(p.Subject, "Relayed: ") {
		t.Errorf("subject %q", p.Subject)
	}
}

func TestRepliesOfThePeerAreItsOwnWords(t *testing.T) {
	r := expired()
	r.Recipients[0].Reason, r.Recipients[0].Status = policy.Remote5xx, "5.1.1"
	r.Recipients[0].Attempt = &attempt.Attempt{Reply: &attempt.Reply{Host: "mx.clinic.test", Command: "RCPT", Code: 550, Status: "5.1.1",
		Text: "No such user\r\nStatus: 2.0.0 \u202egnp.exe"}}
	text, p := build(t, r)
	got := p.Recipients[0]
	if got.DiagnosticType != "smtp" || !strings.HasPrefix(got.Diagnostic, `550 5.1.1 No such user\x0d\x0aStatus:`) || got.Status != "5.1.1" {
		t.Errorf("%q %q %q", got.DiagnosticType, got.Diagnostic, got.Status)
	}
	if !strings.Contains(p.Human, "mx.clinic.test answered to RCPT (its own words):\r\n      > 550 5.1.1 No such user") {
		t.Errorf("the reply is not marked as the peer's:\n%s", p.Human)
	}
	if strings.ContainsRune(text, '\u202e') {
		t.Error("a direction-changing character came through")
	}
}

func TestStatusAgreesWithTheAction(t *testing.T) {
	for _, c := range []struct {
		action       Action
		status, want string
	}{
		{Failed, "4.7.5", "5.7.5"}, {Delayed, "5.4.1", "4.4.1"}, {Delivered, "5.0.0", "2.0.0"}, {Relayed, "", "2.0.0"},
		{Failed, "5.1234.1", "5." + policy.ConnectTimeout.Info().Status}, {Failed, "bad", "5." + policy.ConnectTimeout.Info().Status},
		{Failed, "", "5." + policy.ConnectTimeout.Info().Status},
	} {
		r := Recipient{Action: c.action, Status: c.status, Reason: policy.ConnectTimeout}
		if got := r.status(); got != c.want {
			t.Errorf("%s with %q: status %q, want %q", c.action, c.status, got, c.want)
		}
	}
}

func TestUnusableReportsAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*Report)
		want   error
	}{
		{func(r *Report) { r.To = mail.Address{} }, ErrNullSender},
		{func(r *Report) { r.Recipients = nil }, ErrRecipients},
		{func(r *Report) { r.Recipients = make([]Recipient, MaxRecipients+1) }, ErrRecipients},
		{func(r *Report) { r.Recipients[0].Action = "lost" }, ErrAction},
		{func(r *Report) { r.To = mail.MustAddress("jürgen@example.com") }, ErrNeedsUTF8},
	} {
		r := expired()
		c.change(r)
		if _, err := r.Build(); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
}
