package stored

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
)

// TestSealedAttempt: an attempt whose tries carry their JSON is stored like any other.
func TestSealedAttempt(t *testing.T) {
	a := sent(time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC))
	a.Notes = []string{"mx-unproven", `a "quoted" <note>`}
	second := a.Tries[0]
	second.Used, second.Host = false, "mx2.d1.test"
	a.Tries = append(a.Tries, second)
	for seal := range 3 { // none, one, both
		if seal > 0 {
			a.Tries[seal-1] = a.Tries[seal-1].Sealed()
		}
		text, err := EncodeAttempt(a)
		if err != nil {
			t.Fatal(err)
		}
		var got attempt.Attempt
		if err := Decode(text.(string), &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if d := cmp.Diff(*a, got, cmpopts.IgnoreFields(attempt.Try{}, "JSON"), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("with %d sealed tries (-given +stored):\n%s", seal, d)
		}
	}
}

// sent is what a delivery over TLS records.
func sent(now time.Time) *attempt.Attempt {
	c := policy.Certificate{Subject: "CN=mx.d1.test", NotBefore: now, NotAfter: now, DNSNames: []string{"mx.d1.test"}}
	return &attempt.Attempt{At: now, TookMS: 12, Reply: &attempt.Reply{Host: "mx.d1.test", Code: 250, Text: "queued as 1234567"},
		Tries: []attempt.Try{{At: now, TookMS: 10, Host: "mx.d1.test", Port: 25, Rung: attempt.Modern, Used: true,
			Reached:  policy.Encrypted,
			Evidence: &policy.Evidence{TLS: &mail.TLS{Version: "TLSv1.3", Bits: 128}, Chain: []policy.Certificate{c, c}}}}}
}
