package admin

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/operator/access"
	"postern/internal/operator/hindsight"
	"postern/internal/policy"
	"postern/internal/policy/rulematch"
)

const asSaved = "From: Anna <anna@example.com>\r\nTo: dr@clinic.test, x@plain.test\r\nCc: Pat <p@good.test>\r\nSubject: [secure] results\r\n\r\nbody\r\n"

// TestARealMessageIsTried: the sender, the recipients, the size and the header are the message's own, for rules that
// are not in force yet; each recipient hears why, and what was reached there lately.
func TestARealMessageIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := service(t)
		d := s.For(everywhere(access.Administrator))
		e, err := d.Explain(t.Context(), ExplainRequest{Message: []byte(asSaved), Offline: true, Edit: &Proposal{
			Rule: ruleText("secret", "clinic.test", "subject = [\"*[secure]*\"]\n")}})
		if err != nil {
			t.Fatal(err)
		}
		if e.From != "anna@example.com" || len(e.Recipients) != 3 || len(e.Taken) != 2 {
			t.Fatalf("asked about %+v, %q", e, e.Taken)
		}
		dr, x, p := e.Recipients[0], e.Recipients[1], e.Recipients[2]
		if dr.Recipient != "dr@clinic.test" || !dr.Matched || dr.Because != "" || dr.WithoutTLS != "defer" {
			t.Errorf("the named one: %+v", dr)
		}
		if x.Recipient != "x@plain.test" || x.Matched || x.Requires != policy.Authenticated || x.WithoutTLS != "reject" ||
			!strings.Contains(x.Because, "dr@clinic.test, named by secret") || !strings.Contains(x.Because, "Enable Opportunistic TLS for unspecified recipients") {
			t.Errorf("the tainted one: %+v", x)
		}
		if l := x.Lately; l == nil || l.Newest == nil || l.Reached["plaintext"] != l.Deliveries-l.Failed-l.Cancelled || l.Newest.Outcome != hindsight.WouldReturn || l.Newest.Reason != policy.StartTLSNotOffered {
			t.Errorf("lately at the plain server: %+v", l)
		}
		if l := p.Lately; l == nil || l.Newest == nil || l.Newest.Reached != "authenticated" || l.Newest.MX == "" {
			t.Errorf("lately at the good server: %+v", l)
		}
		mine := e.Rules[len(e.Rules)-1]
		if mine.Rule != "secret" || !mine.Matched || !slices.ContainsFunc(mine.Fields, func(f rulematch.FieldExplanation) bool { return f.Field == "match.subject" && f.Matched }) {
			t.Errorf("the rule that is tried: %+v", mine)
		}
		if view, _ := d.Rules(t.Context()); slices.ContainsFunc(view.Rules, func(r json.RawMessage) bool { return strings.Contains(string(r), "secret") }) {
			t.Error("trying a rule put it in force")
		}
	})
}

// What is said beside the message goes before what the message says.
func TestWhatIsSaidGoesBeforeTheMessage(t *testing.T) {
	s, _, _ := service(t)
	d := s.For(everywhere(access.Administrator))
	e, err := d.Explain(t.Context(), ExplainRequest{From: "<>", To: []string{"a@b.test"}, Message: []byte(asSaved), Offline: true})
	if err != nil || e.From != "" || len(e.Recipients) != 1 || e.Recipients[0].Recipient != "a@b.test" || len(e.Taken) != 0 {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := d.Explain(t.Context(), ExplainRequest{From: "<>", Message: []byte(asSaved), Offline: true}); err != nil || len(e.Taken) != 1 || !strings.Contains(e.Taken[0], "recipients") {
		t.Errorf("the sender was said, and not taken from the message: %q %v", e.Taken, err)
	}
	_, err = d.Explain(t.Context(), ExplainRequest{Message: []byte("Subject: to nobody\n\n")})
	refused(t, "a message to nobody", err, access.ErrBadRequest)
	_, err = d.Explain(t.Context(), ExplainRequest{Message: []byte(asSaved), Edit: &Proposal{Name: "none", Rule: ruleText("x", "b.test", "")}})
	refused(t, "a rule that is none", err, access.ErrNotFound)
}

// A scope of domains tries its own rule alone: of the rules in force, which are others', it hears nothing.
func TestAScopeTriesItsOwnRuleAlone(t *testing.T) {
	s, _, _ := service(t)
	if _, err := s.For(everywhere(access.Administrator)).ApplyRules(t.Context(), ApplyRequest{Text: ruleText("theirs", "clinic.test", "")}); err != nil {
		t.Fatal(err)
	}
	d := s.For(within(access.Administrator, "example.com"))
	own := ruleText("mine", "plain.test", "sender = [\"example.com\"]\n")
	e, err := d.Explain(t.Context(), ExplainRequest{Message: []byte(asSaved), Edit: &Proposal{Rule: own}})
	if err != nil || len(e.Rules) != 1 || e.Rules[0].Rule != "mine" || !e.Rules[0].Matched {
		t.Errorf("%+v, %v", e.Rules, err)
	}
	_, err = d.Explain(t.Context(), ExplainRequest{Message: []byte(asSaved)})
	refused(t, "all rules", err, access.ErrForbidden)
	_, err = d.Explain(t.Context(), ExplainRequest{Message: []byte(asSaved), Edit: &Proposal{Rule: ruleText("x", "clinic.test", "")}})
	refused(t, "a rule for everybody's mail", err, access.ErrForbidden)
}
