package notify_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy"
)

// TestEachRefusedPartnerIsToldOfOnceADay: however often it tries; what is on trial is not told.
func TestEachRefusedPartnerIsToldOfOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "admin@example.test", "")
		defer w.end()
		e := event.FellShort{Listener: "smtp", Client: netip.MustParseAddr("192.0.2.7"), Helo: "mx.partner.test", From: mail.MustAddress("a@partner.test"),
			Rules: []string{"partner"}, Reason: policy.StartTLSNotOffered, Text: "the connection has no TLS", Later: true}
		for range 50 { // hours
			for _, other := range []func(e *event.FellShort){
				func(*event.FellShort) {},
				func(e *event.FellShort) { e.From = mail.MustAddress("b@partner.test") },
				func(e *event.FellShort) { e.Trial, e.From = true, mail.MustAddress("c@trial.test") },
			} {
				one := e
				other(&one)
				w.Emit(one)
			}
			time.Sleep(time.Hour)
		}
		_, texts := w.letters(t)
		if len(texts) != 3 {
			t.Fatalf("%d letters in 50 hours, want 3: %q", len(texts), texts)
		}
		for _, want := range []string{"Subject: [postern] mail from partner.test is refused: starttls-not-offered", "The rule partner refuses mail from partner.test.", "with no TLS"} {
			if !strings.Contains(strings.ReplaceAll(texts[0], "\r\n  ", " "), want) {
				t.Errorf("%s has no %q", texts[0], want)
			}
		}
		e.From, e.Later = mail.Address{}, false
		w.Emit(e)
		time.Sleep(time.Minute)
		if _, texts := w.letters(t); !strings.Contains(texts[len(texts)-1], "mail from 192.0.2.7 is refused") {
			t.Errorf("%s", texts[len(texts)-1])
		}
	})
}
