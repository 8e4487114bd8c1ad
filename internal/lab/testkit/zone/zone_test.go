package zone

import (
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/dns"
	"postern/internal/mail"
)

func TestAZoneInABubbleAnswersAndTimesOutInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(t, "clinic.test 60 MX 10 mx.clinic.test\nmx.clinic.test A 192.0.2.1\nslow.test timeout\n")
		answer, err := r.MX(t.Context(), mail.MustDomain("clinic.test"))
		if err != nil || len(answer.Records) != 1 || !answer.Secure || answer.TTL != time.Minute {
			t.Fatalf("MX = %+v, %v", answer, err)
		}
		began := time.Now()
		_, err = r.MX(t.Context(), mail.MustDomain("slow.test"))
		if dns.KindOf(err) != dns.Timeout {
			t.Fatalf("error %v, want a timeout", err)
		}
		if took := time.Since(began); took < 5*time.Second || took > 20*time.Second {
			t.Fatalf("gave up after %v", took)
		}
		r.Set("clinic.test MX 10 other.clinic.test\n")
		answer, err = r.MX(t.Context(), mail.MustDomain("clinic.test"))
		if err != nil || answer.Records[0].Text != "other.clinic.test" {
			t.Fatalf("after Set: %+v, %v", answer, err)
		}
	})
}
