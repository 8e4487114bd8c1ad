package dsn

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp"
)

// nasty strings are put wherever a stranger has a say.
var nasty = []string{"", "plain", "two words", "a\r\nX: y", "\x1b[2Jred", "\u202eright to left", "Grüße", "日本語", "\xff\xfe", "=?utf-8?q?x?=",
	"--postern/x/0", strings.Repeat("long ", 200), strings.Repeat("w", 3000), "<script>", ".", "From me", "a\x00b", "a; b=c", "\t tab "}

var addresses = []string{"a@b.test", `"quoted space"@b.test`, "jürgen@clinic.test", "x+y=z@b.test", `"\"\\"@b.test`, "日本@clinic.test"}

// randomReport makes a report of anything a caller could pass.
func randomReport(rng *rand.Rand) *Report {
	pick := func() string { return nasty[rng.IntN(len(nasty))] }
	reasons := []policy.Reason{"", policy.CertExpired, policy.Remote5xx, policy.Remote4xx, policy.TLSAlert, policy.ConnectRefused, policy.ExpiredInQueue}
	r := expired()
	r.ID, r.About, r.Subject, r.OriginalMessageID = pick(), pick(), pick(), pick()
	r.EnvID = smtp.EncodeXtext(pick())
	r.UTF8, r.EightBit, r.OriginalFull = rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0
	r.Original = []byte("Subject: " + pick() + "\r\nX: y\r\n\r\n" + pick() + "\r\n")
	r.Recipients = nil
	for range 1 + rng.IntN(4) {
		rcpt := Recipient{
			Address: mail.MustAddress(addresses[rng.IntN(len(addresses))]),
			Action:  []Action{Failed, Delayed, Delivered, Relayed}[rng.IntN(4)],
			Status:  []string{"", "5.1.1", "4.2.0", "2.0.0", "9.9.9.9"}[rng.IntN(5)],
			Reason:  reasons[rng.IntN(len(reasons))], Text: pick(), Rules: []string{pick()},
			Requires: policy.Level(rng.IntN(3)), Reached: policy.Level(rng.IntN(3)), Tried: rng.IntN(50),
			LastAttempt: noon.Add(time.Duration(rng.IntN(1000)) * time.Second), WillRetryUntil: noon.Add(time.Hour),
		}
		for n := range rng.IntN(3) {
			rcpt.Next = append(rcpt.Next, Way{By: pick(), Route: pick(), Until: noon.Add(time.Duration(n+2) * time.Hour)})
		}
		if rng.IntN(2) == 0 {
			rcpt.ORCPT = "rfc822;" + smtp.EncodeXtext(pick())
		}
		if rng.IntN(3) > 0 {
			rcpt.Attempt = expiredAttempt()
			rcpt.Attempt.Tries[1].Remote, rcpt.Attempt.Tries[1].Host = pick(), pick()
			rcpt.Attempt.Tries[1].Evidence.Chain[0].Subject = pick()
			rcpt.Attempt.Reply = &attempt.Reply{Host: pick(), Code: 400 + rng.IntN(200), Status: pick(), Text: pick()}
		}
		r.Recipients = append(r.Recipients, rcpt)
	}
	return r
}

func TestWhatIsBuiltIsReadBack(t *testing.T) {
	const seed = 20261123
	rng := rand.New(rand.NewPCG(seed, 1))
	for n := range 600 {
		r := randomReport(rng)
		b, err := r.Build()
		if err != nil {
			t.Fatalf("seed %d, report %d: %v", seed, n, err)
		}
		checkForm(t, r, b)
		p, err := Parse(b)
		if err != nil {
			t.Fatalf("seed %d, report %d: %v\n%s", seed, n, err, b)
		}
		if diff := compare(r, p); diff != "" || t.Failed() {
			t.Fatalf("seed %d, report %d: %s\n%s", seed, n, diff, b)
		}
		_, kinds, parts := foreign(t, b)
		if len(kinds) != 3 || parts[2] != string(p.Original) {
			t.Fatalf("seed %d, report %d: the standard library reads %d parts", seed, n, len(kinds))
		}
	}
}

// compare says what of r cannot be read back from p.
func compare(r *Report, p *Parsed) string {
	if p.UTF8 != r.UTF8 || p.ReportingMTA != r.ReportingMTA.String() || !p.ArrivedAt.Equal(r.ArrivedAt) || !p.Date.Equal(r.Now) {
		return fmt.Sprintf("the message block differs: %+v", p)
	}
	if len(p.Recipients) != len(r.Recipients) {
		return fmt.Sprintf("%d recipients, want %d", len(p.Recipients), len(r.Recipients))
	}
	for i := range r.Recipients {
		want, got := &r.Recipients[i], &p.Recipients[i]
		switch {
		case got.Final != want.Address.String():
			return fmt.Sprintf("final recipient %q, want %q", got.Final, want.Address)
		case got.Action != want.Action || got.Status != want.status():
			return fmt.Sprintf("action %q status %q, want %q %q", got.Action, got.Status, want.Action, want.status())
		case !got.LastAttempt.Equal(want.LastAttempt):
			return fmt.Sprintf("last attempt %v, want %v", got.LastAttempt, want.LastAttempt)
		case (want.Action == Delayed) != got.WillRetryUntil.Equal(want.abandoned()):
			return fmt.Sprintf("will retry until %v for %s", got.WillRetryUntil, want.Action)
		case got.DiagnosticType == "x-postern" && !strings.HasPrefix(got.Diagnostic, string(want.Reason)+":"):
			return fmt.Sprintf("diagnostic %q, want the reason %q", got.Diagnostic, want.Reason)
		case got.Fields["x-postern-requires"] != want.Requires.String():
			return "the level required is lost"
		}
	}
	return ""
}

func FuzzParse(f *testing.F) {
	for _, change := range []func(*Report){func(*Report) {}, func(r *Report) { r.UTF8, r.Subject = true, "Grüße" },
		func(r *Report) { r.OriginalFull = true }} {
		r := expired()
		change(r)
		b, err := r.Build()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n--b--"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if (p == nil) == (err == nil) {
			t.Fatal("want exactly one of a notice and an error")
		}
		if p != nil && len(p.Recipients) == 0 {
			t.Fatal("a notice about nobody was accepted")
		}
	})
}
