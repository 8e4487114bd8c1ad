package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/waiting"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

const redirecting = "[[rule]]\nname = \"away\"\naction = \"redirect\"\n[rule.redirect]\nroute = \"portal\"\n"

func TestRulesThatRedirectToARouteThatIsNotThereAreRefused(t *testing.T) {
	s, _, _ := service(t)
	ctx := context.Background()
	_, err := s.For(access.Root("root")).ApplyRules(ctx, ApplyRequest{Name: "rules.toml", Text: redirecting})
	var wrong *rules.ParseError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), `there is no route "portal"`) {
		t.Fatalf("%v", err)
	}
	if _, err := s.For(access.Root("root")).ApplyRules(ctx, ApplyRequest{Name: "rules.toml", Text: strings.Replace(redirecting, "action", "scope = \"disabled\"\naction", 1)}); err != nil {
		t.Errorf("a disabled rule: %v", err)
	}
	table, err := route.New(route.Config{Routes: []route.Route{{Name: "portal", To: []route.HostPort{{Host: mail.MustDomain("portal.test")}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.cfg.Rules.SetTable(ctx, table, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.For(access.Root("root")).ApplyRules(ctx, ApplyRequest{Name: "rules.toml", Text: redirecting}); err != nil {
		t.Errorf("with the route: %v", err)
	}
}

// quarantined adds a message that a rule holds.
func quarantined(t *testing.T, s *Service, to string) queue.ID {
	t.Helper()
	draft, err := s.cfg.Store.NewDraft(context.Background())
	if err == nil {
		_, err = draft.Write([]byte("Subject: x\r\n\r\nsecret\r\n"))
	}
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d := queue.NewDelivery{NextHop: "mx:other.test", Delivery: queue.Delivery{Recipient: mail.Recipient{Address: mail.MustAddress(to)},
		AcceptedAt: now, ExpiresAt: now.Add(time.Hour),
		Effects: policy.Effects{{Rule: "look", Kind: policy.EffectHold, Days: 7, Then: policy.ThenReturn}}}}
	d.Affect()
	id := queue.NewID(now, 77)
	sub := &queue.Submission{Message: queue.Message{ID: id, AcceptedAt: now, HeaderSize: 14, Envelope: mail.Envelope{From: mail.MustAddress("a@example.com")}},
		Body: draft, Deliveries: []queue.NewDelivery{d}}
	if err := s.cfg.Store.Accept(context.Background(), sub); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestMailInQuarantineIsReturnedAndNothingElse(t *testing.T) {
	s, _, rec := service(t)
	id := quarantined(t, s, "b@other.test")
	out, err := s.For(access.Root("root")).Act(context.Background(), waiting.ActRequest{Kind: waiting.Return, All: true})
	if err != nil || out.Changed != 1 || len(rec.returned) != 1 {
		t.Fatalf("%+v, %v, returned %v", out, err, rec.returned)
	}
	for r, err := range s.cfg.Store.List(context.Background(), queue.Filter{IDs: []queue.ID{id}}) {
		if err != nil || r.ID != rec.returned[0] {
			t.Errorf("%v, %v", r.ID, err)
		}
		trace := s.For(access.Root("root")).who.Trace(&r)
		if !strings.HasPrefix(trace.Held, "in quarantine by the rule look until ") || trace.Quarantine == nil || trace.Quarantine.Rule != "look" || trace.Quarantine.Then != "return" ||
			!slices.Equal(trace.Did(), []string{`hold for 7 days, then return (rule "look")`}) {
			t.Errorf("the trace says %q, %q", trace.Held, trace.Did())
		}
	}
	if _, err := s.For(access.Root("root")).Act(context.Background(), waiting.ActRequest{Kind: waiting.Return}); err == nil {
		t.Error("a return that names nothing is taken")
	}
}

func TestTheContentOfMailInQuarantineIsReadByWhoMayAndThatIsRecorded(t *testing.T) {
	s, store, _ := service(t)
	ctx := context.Background()
	id := string(quarantined(t, s, "b@other.test"))
	_, err := s.For(everywhere(access.Operator)).Content(ctx, id)
	refused(t, "an operator", err, access.ErrForbidden)
	_, err = s.For(within(access.Administrator, "else.test")).Content(ctx, id)
	refused(t, "an administrator of another domain", err, access.ErrNotFound)
	_, err = s.For(access.Root("root")).Content(ctx, string(backlog.Ordinary))
	refused(t, "mail that is not in quarantine", err, access.ErrNotFound)
	reads := func() (n int) {
		entries, err := store.Entries(ctx, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Action == "queue read" && e.Target == id {
				n++
			}
		}
		return n
	}
	if reads() != 0 {
		t.Error("what was refused is recorded as read")
	}
	got, err := s.For(access.Root("root")).Content(ctx, id)
	if err != nil || string(got.Text) != "Subject: x\r\n\r\nsecret\r\n" || got.Size != int64(len(got.Text)) || reads() != 1 {
		t.Errorf("%q of %d, %v, %d entries", got.Text, got.Size, err, reads())
	}
}
