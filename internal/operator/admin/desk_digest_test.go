package admin

import (
	"slices"
	"strings"
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
	for more, want := range map[string]struct {
		rows, unanswered int
		blind            string
	}{
		"header = [{ name = \"x-class\", value = \"secret*\" }]\n": {1, 0, ""},
		"header = [{ name = \"x-class\", value = \"*\" }]\n":       {2, 0, ""},
		"subject = [\"x\"]\n": {0, 2, "match.subject"},
		// What decides without it is known.
		"subject = [\"x\"]\nsender = [\"nobody.test\"]\n":                             {0, 0, ""},
		"subject = [\"x\"]\nheader = [{ name = \"x-class\", value = \"secret*\" }]\n": {0, 1, "match.subject"},
		"attachment = [\"*.pdf\"]\n":                                                  {0, 2, "match.attachment"},
		"attachment = [\"*.pdf\"]\nbody = [\"*word*\"]\n":                             {0, 2, "match.attachment match.body"},
		"attachment = [\"*.pdf\"]\nsize_over = \"1MB\"\n":                             {0, 0, ""},
		"attachment = [\"*.pdf\"]\nrecipients_over = 1\n":                             {0, 0, ""},
		"size_over = 10\n":                     {2, 0, ""},
		"recipients_over = 1\n":                {0, 0, ""},
		"[rule.unless]\nbody = [\"*word*\"]\n": {0, 2, "unless.body"},
		"[rule.unless]\nbody = [\"*word*\"]\nsender = [\"nobody.test\"]\n":                        {2, 0, ""},
		"[rule.unless]\nheader = [{ name = \"x-class\", value = \"secret*\" }]\n":                 {1, 0, ""},
		"[rule.unless]\nsubject = [\"x\"]\nheader = [{ name = \"x-class\", value = \"sec*\" }]\n": {1, 1, "unless.subject"},
		"subject = [\"x\"]\n[rule.unless]\nbody = [\"*word*\"]\n":                                 {0, 2, "match.subject unless.body"},
	} {
		p, err := d.Preview(t.Context(), RuleEdit{Rule: ruleText("new", "digest.test", more)}, time.Second)
		if err != nil || len(p.Rows) != want.rows || p.Unanswered != want.unanswered || strings.Join(p.Blind, " ") != want.blind || p.Never != nil {
			t.Errorf("%s: %d rows, %d unanswered, blind to %q, %v", more, len(p.Rows), p.Unanswered, p.Blind, err)
		}
	}
	// The envelope may say whose mail it is; where it does not, the fields would have to.
	for domain, want := range map[string][2]int{"example.com": {2, 0}, "else.test": {0, 2}} {
		text := strings.Replace(ruleText("new", "digest.test", ""), "[rule.match]", "domain = [\""+domain+"\"]\nbelow = true\n[rule.match]", 1)
		p, err := d.Preview(t.Context(), RuleEdit{Rule: text}, time.Second)
		if err != nil || [2]int{len(p.Rows), p.Unanswered} != want {
			t.Errorf("domain %s: %d rows, %d unanswered, %v", domain, len(p.Rows), p.Unanswered, err)
		}
	}

	// A rule that is there: where its conditions stay, what they asked of the message is the same before and after.
	const old = "body = [\"*word*\"]\n"
	view, err := d.Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ApplyRules(t.Context(), ApplyRequest{Text: view.Text + "\n" + ruleText("old", "digest.test", old)}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][2]int{
		ruleText("old", "digest.test", old):                                         {0, 0},
		ruleText("old", "digest.test", old+"[rule.force_tls]\nmin_tls = \"1.3\"\n"): {0, 2},
		ruleText("old", "digest.test", "body = [\"*other*\"]\n"):                    {0, 2},
		ruleText("old", "digest.test", old+"sender = [\"nobody.test\"]\n"):          {0, 2}, // it may have been about them
		"": {0, 2},
	} {
		p, err := d.Preview(t.Context(), RuleEdit{Name: "old", Rule: text}, time.Second)
		if err != nil || [2]int{len(p.Rows), p.Unanswered} != want {
			t.Errorf("%s: %d rows, %d unanswered, %v; want %v", text, len(p.Rows), p.Unanswered, err, want)
		}
	}
	if fields := (*rules.Set)(nil).HeaderFields(); fields != nil {
		t.Error(fields)
	}
}
