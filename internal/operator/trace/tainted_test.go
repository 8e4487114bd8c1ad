package trace

import (
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// Whoever is protected because of another is told because of whom, and that a server without TLS gets nothing, at once,
// where the rule leaves that unsaid or says so.
func TestWhyMe(t *testing.T) {
	for _, c := range []struct {
		what    string
		matched bool
		without policy.WithoutTLS
		at      bool
		says    string
	}{
		{"named", true, policy.WithoutTLSDefer, false, ""},
		{"tainted", false, policy.WithoutTLSReject, true, "named by clinic; a rule whose box"},
		{"tainted by a rule that waits", false, policy.WithoutTLSDefer, false, "named by clinic; a rule whose box"},
	} {
		r := queue.Record{Delivery: queue.Delivery{State: queue.Queued, Recipient: mail.Recipient{Address: mail.MustAddress("x@shop.test")}, Rules: []string{"clinic"},
			Matched: c.matched, Requirement: policy.Requirement{Channel: policy.Authenticated, WithoutTLS: c.without}}}
		got := Of(&r)
		if !strings.Contains(got.Why(), c.says) || strings.Contains(got.Why(), "returned at once") != c.at || (got.WithoutTLS == "reject") != c.at || c.says == "" && got.Why() != "" {
			t.Errorf("%s: %q", c.what, got.Why())
		}
	}
}
