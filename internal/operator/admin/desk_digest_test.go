package admin

import (
	"slices"
	"testing"
	"time"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// TestAPreviewAnswersForHeaderFieldsThatRulesNamed: what rules named when mail came is kept with its record, and a rule
// about it is shown that mail; a rule about a field that nobody named then says of how much it cannot be told.
func TestAPreviewAnswersForHeaderFieldsThatRulesNamed(t *testing.T) {
	s, store, _ := service(t)
	d := s.For(everywhere(access.Administrator))
	if _, err := d.ApplyRules(t.Context(), ApplyRequest{Text: ruleText("class", "elsewhere.test", "header = [{ name = \"X-Class\", value = \"secret*\" }]\n")}); err != nil {
		t.Fatal(err)
	}
	accept := func(id queue.ID, header string) {
		t.Helper()
		now := time.Now()
		m := queue.Message{ID: id, Envelope: mail.Envelope{From: mail.MustAddress("a@example.com")}, AcceptedAt: now}
		to := mail.MustAddress("dr@digest.test")
		judged, err := s.cfg.Rules.Now().Judge(&m, mail.ParseHeader([]byte(header)), []mail.Address{to})
		if err != nil || m.Digest == nil || !slices.Equal(m.Digest.Names, []string{"x-class"}) {
			t.Fatalf("%v, kept %+v", err, m.Digest)
		}
		body, err := store.NewDraft(t.Context())
		if err == nil {
			_, err = body.Write([]byte(header))
		}
		if err == nil {
			err = store.Accept(t.Context(), &queue.Submission{Message: m, Body: body, Deliveries: []queue.NewDelivery{{NextHop: backlog.NextHop(to.Domain, judged[0].Requirement),
				Delivery: queue.Delivery{State: queue.Queued, Recipient: mail.Recipient{Address: to}, ExpiresAt: now.Add(time.Hour), Deadline: now.Add(time.Hour), Due: now}}}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	accept("0fk3n0000000d001", "X-Class: SECRET paper\r\nSubject: x\r\n\r\n")
	accept("0fk3n0000000d002", "X-Class: public\r\nSubject: x\r\n\r\n")
	for more, want := range map[string]struct{ rows, unanswered int }{
		"header = [{ name = \"x-class\", value = \"secret*\" }]\n": {1, 0},
		"header = [{ name = \"x-class\", value = \"*\" }]\n":       {2, 0},
		"subject = [\"x\"]\n": {0, 2},
	} {
		p, err := d.Preview(t.Context(), RuleEdit{Rule: ruleText("new", "digest.test", more)}, time.Second)
		if err != nil || len(p.Rows) != want.rows || p.Unanswered != want.unanswered || (len(p.Blind) > 0) != (want.unanswered > 0) {
			t.Errorf("%s: %d rows, %d unanswered, blind to %q, %v", more, len(p.Rows), p.Unanswered, p.Blind, err)
		}
	}
	if fields := (*rules.Set)(nil).HeaderFields(); fields != nil {
		t.Error(fields)
	}
}
