package sqlstore

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/attempt"
)

// TestSealedAttempt: an attempt whose tries carry their JSON is stored like any other.
func TestSealedAttempt(t *testing.T) {
	a := benchAttempt(time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC))
	a.Notes = []string{"mx-unproven", `a "quoted" <note>`}
	second := a.Tries[0]
	second.Used, second.Host = false, "mx2.d1.test"
	a.Tries = append(a.Tries, second)
	for seal := range 3 { // none, one, both
		if seal > 0 {
			a.Tries[seal-1] = a.Tries[seal-1].Sealed()
		}
		text, err := encodeAttempt(a)
		if err != nil {
			t.Fatal(err)
		}
		var got attempt.Attempt
		if err := decode(text.(string), &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if d := cmp.Diff(*a, got, cmpopts.IgnoreFields(attempt.Try{}, "JSON"), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("with %d sealed tries (-given +stored):\n%s", seal, d)
		}
	}
}
