package examiner

import (
	"strings"
	"testing"

	"postern/internal/check"
	"postern/internal/gateway/route"
	"postern/internal/policy"
)

// An unsigned "no" ends ordinary mail at once, and keeps what a rule protects or what an enforced policy contradicts.
func TestWhoWaitsWhereNobodySignedTheAnswer(t *testing.T) {
	forced := policy.Requirement{Channel: policy.Authenticated}
	for _, c := range []struct {
		name     string
		problem  route.Problem
		requires policy.Requirement
		outcome  check.Outcome
		says     string
	}{
		{"ordinary mail", route.Problem{Permanent: true}, policy.Requirement{}, check.Failed, ""},
		{"protected mail", route.Problem{Permanent: true}, forced, check.Deferred, "so protected mail waits"},
		{"ordinary mail, and an enforced policy", route.Problem{Permanent: true, Contradicted: true}, policy.Requirement{}, check.Deferred, "so all mail waits"},
		{"a signed answer", route.Problem{Permanent: true, Signed: true}, forced, check.Failed, ""},
		{"what passes", route.Problem{}, forced, check.Deferred, ""},
	} {
		c.problem.Reason, c.problem.Text = policy.DNSNXDomain, "there is no such domain"
		v := planless(check.Question{Requirement: c.requires}, &c.problem)
		if v.Outcome != c.outcome || !strings.Contains(v.Text, c.says) || c.says == "" && strings.Contains(v.Text, "waits") {
			t.Errorf("%s: %s, %s", c.name, v.Outcome, v.Text)
		}
	}
}
