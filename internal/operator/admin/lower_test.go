package admin

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/waiting"
	"postern/internal/policy"
	"postern/internal/queue"
)

// fullLedger takes so many entries and then no more.
type fullLedger struct {
	audit.Ledger
	room int
}

func (l *fullLedger) Append(ctx context.Context, e audit.Entry) error {
	if l.room == 0 {
		return errDisk
	}
	l.room--
	return l.Ledger.Append(ctx, e)
}

func TestWhatWasLoweredIsSentAlsoWhenTheRestFails(t *testing.T) {
	s, store, rec := service(t)
	s = changed(s, func(c *Config) { c.Ledger = &fullLedger{Ledger: store, room: 1} })
	draft, err := store.NewDraft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	sub := &queue.Submission{Body: draft, Message: queue.Message{ID: queue.NewID(now, 1), AcceptedAt: now}}
	for i := range waiting.LowerPortion + 50 {
		to := mail.Recipient{Address: mail.MustAddress(fmt.Sprintf("r%d@many.test", i))}
		sub.Deliveries = append(sub.Deliveries, queue.NewDelivery{NextHop: "mx:many.test", Delivery: queue.Delivery{Recipient: to,
			Requirement: backlog.Forced(), AcceptedAt: now, ExpiresAt: now.Add(time.Hour), Due: now, Deadline: now.Add(time.Hour)}})
	}
	if err := store.Accept(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	out, err := s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Release, Lower: true, Domains: []string{"many.test"}})
	if err == nil || out.Changed != waiting.LowerPortion {
		t.Fatalf("%+v, %v: want one portion lowered and an error", out, err)
	}
	for _, site := range []queue.SiteKey{"mx:many.test", queue.NewSiteKey("mx:many.test", backlog.Forced())} {
		if !slices.Contains(rec.kicked, site) {
			t.Errorf("nobody was told about what waits at %s; kicked %v", site, rec.kicked)
		}
	}
}

func TestWhatIsLoweredIsNotRaisedByTheRulesOfThatMoment(t *testing.T) {
	s, store, _ := service(t)
	for range 2 {
		if _, err := store.AppendRules(t.Context(), clinicRules, audit.Entry{By: "ann"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.cfg.Rules.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Release, Lower: true, Domains: []string{"clinic.test"}}); err != nil {
		t.Fatal(err)
	}
	lowered := 0
	for rec, err := range store.List(t.Context(), queue.Filter{Domain: "clinic.test"}) {
		if err != nil {
			t.Fatal(err)
		}
		if !rec.State.Waiting() || rec.Requirement.Channel != policy.Plaintext {
			continue
		}
		if lowered++; rec.Judged != s.cfg.Rules.Now().Number || rec.Judged == 0 {
			t.Errorf("lowered under %d, want %d", rec.Judged, s.cfg.Rules.Now().Number)
		}
	}
	if lowered == 0 {
		t.Fatal("nothing was lowered")
	}
}

// What a sender asked for is not the administrator's to drop: REQUIRETLS stays where what rules demand goes.
func TestWhatASenderDemandsIsNotLowered(t *testing.T) {
	s, store, _ := service(t)
	draft, err := store.NewDraft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	m := queue.Message{ID: queue.NewID(now, 1), AcceptedAt: now, Envelope: mail.Envelope{RequireTLS: true}}
	own := policy.RequireTLSDemand()
	both := policy.Combine(own, policy.Requirement{MinTLS: 0x0304})
	sub := &queue.Submission{Body: draft, Message: m}
	for to, r := range map[string]policy.Requirement{"asked@vow.test": own, "forced@vow.test": both} {
		sub.Deliveries = append(sub.Deliveries, queue.NewDelivery{NextHop: "mx:vow.test", Delivery: queue.Delivery{
			Recipient: mail.Recipient{Address: mail.MustAddress(to)}, Requirement: r, Demands: []policy.Demand{{Source: policy.FromRequireTLS, Requirement: own},
				{Source: policy.FromRule("gone"), Requirement: r}}, AcceptedAt: now, ExpiresAt: now.Add(time.Hour), Due: now, Deadline: now.Add(time.Hour)}})
	}
	if err := store.Accept(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	out, err := s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Release, Lower: true, Domains: []string{"vow.test"}})
	if err != nil || out.Changed != 1 {
		t.Fatalf("%+v, %v: want the one that a rule forces besides", out, err)
	}
	for rec, err := range store.List(t.Context(), queue.Filter{Domain: "vow.test"}) {
		if err != nil || rec.Requirement.Key() != own.Key() {
			t.Errorf("%s demands %s, %v", rec.Recipient.Address, rec.Requirement.Key(), err)
		}
	}
}
