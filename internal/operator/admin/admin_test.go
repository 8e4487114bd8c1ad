package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/route"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/policy"
	"postern/internal/policy/rulediff"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
)

const clinicRules = `[[rule]]
name = "clinic"
scope = "outbound"
action = "force-tls"
[rule.match]
recipient = ["clinic.test"]
`

// recorder is a dispatcher and a sink that remember.
type recorder struct {
	kicked   []queue.SiteKey
	changed  int
	returned []queue.DeliveryID
	wished   func()
	events   []event.Event
}

func (r *recorder) Kick(_ context.Context, sites ...queue.SiteKey) {
	r.kicked = append(r.kicked, sites...)
}
func (r *recorder) Changed() { r.changed++ }
func (r *recorder) Wished()  { r.wished() }
func (r *recorder) Return(_ context.Context, ids []queue.DeliveryID) (int, error) {
	r.returned = append(r.returned, ids...)
	return len(ids), nil
}
func (r *recorder) Emit(e event.Event) { r.events = append(r.events, e) }

func service(t *testing.T) (*Service, *memstore.Store, *recorder) {
	t.Helper()
	store, rec := backlog.New(t), &recorder{}
	s := New(Config{Store: store, Ledger: store, Rules: backlog.Keeper(t, store), Dispatcher: rec, Sink: rec})
	return s, store, rec
}

// changed is a service like s on another configuration.
func changed(s *Service, change func(*Config)) *Service {
	cfg := s.cfg
	change(&cfg)
	return New(cfg)
}

func traces(t *testing.T, s *Service, q trace.Query) []trace.Delivery {
	t.Helper()
	return pages(t, s.For(everywhere(access.Auditor)), q, 500)
}

func one(t *testing.T, s *Service, id queue.ID, to string) trace.Delivery {
	t.Helper()
	got := traces(t, s, trace.Query{Messages: []string{string(id)}, Recipient: to})
	if len(got) != 1 {
		t.Fatalf("%d deliveries of %s to %s", len(got), id, to)
	}
	return got[0]
}

func entries(t *testing.T, s *Service) []audit.Entry {
	t.Helper()
	list, err := s.cfg.Ledger.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEveryChangeNeedsANameAndLeavesAnEntry(t *testing.T) {
	s, _, rec := service(t)
	for _, kind := range []queue.ActionKind{queue.Hold, queue.Release, queue.Retry, queue.Cancel} {
		r := waiting.ActRequest{Kind: kind, Domains: []string{"Other.TEST."}}
		if _, err := s.For(access.Root(" ")).Act(t.Context(), r); !errors.Is(err, access.ErrWho) {
			t.Errorf("%s without a name: %v", kind, err)
		}
		out, err := s.For(access.Root("ann\x1b[31m")).Act(t.Context(), r)
		if err != nil || out.Changed != 1 {
			t.Errorf("%s: %+v, %v", kind, out, err)
		}
		e := entries(t, s)[0]
		if e.Action != "queue "+string(kind) || e.By != `ann\x1b[31m` || e.Count != 1 || e.Target != "Other.TEST." {
			t.Errorf("%s left the entry %+v", kind, e)
		}
	}
	if len(entries(t, s)) != 4 || len(rec.events) != 4 {
		t.Errorf("%d entries and %d events, want 4 each: a refused request leaves none", len(entries(t, s)), len(rec.events))
	}
	if got := one(t, s, backlog.Ordinary, ""); got.State != "cancelled" {
		t.Errorf("the delivery is %s", got.State)
	}
}

func TestAnActionIsForEverythingOnlyWhenItSaysSo(t *testing.T) {
	s, _, _ := service(t)
	for _, r := range []waiting.ActRequest{
		{Kind: queue.Cancel}, {Kind: queue.Cancel, All: true, Domains: []string{"a.test"}}, {Kind: "burn", All: true},
		{Kind: queue.Hold, Lower: true, All: true}, {Kind: queue.Hold, Domains: []string{"no domain"}},
	} {
		if _, err := s.For(access.Root("ann")).Act(t.Context(), r); !errors.Is(err, access.ErrBadRequest) {
			t.Errorf("%+v: %v, want a bad request", r, err)
		}
	}
	if _, err := s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Cancel}); !errors.Is(err, waiting.ErrNothingNamed) {
		t.Errorf("naming nothing: %v", err)
	}
}

func TestRetryMakesSitesDueAndTellsTheDispatcher(t *testing.T) {
	s, _, rec := service(t)
	out, err := s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Retry, All: true})
	if err != nil || out.Changed != 3 {
		t.Fatalf("%+v, %v: want the three deliveries that are not held", out, err)
	}
	if !slices.Contains(rec.kicked, queue.NewSiteKey("mx:clinic.test", backlog.Forced())) {
		t.Errorf("kicked %v", rec.kicked)
	}
}

func TestLoweringIsRecordedBeforeItIsDone(t *testing.T) {
	s, store, rec := service(t)
	if _, err := s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Release, Lower: true, Domains: []string{"clinic.test"}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []queue.ID{backlog.Waiting, backlog.Untried} {
		got := one(t, s, id, "clinic.test")
		if got.Requires != "plaintext" || got.State != "queued" || got.Rule != "" {
			t.Errorf("%s: requires %s, %s, rule %q", id, got.Requires, got.State, got.Rule)
		}
		if want := got.AcceptedAt.Add(5 * 24 * time.Hour); !got.ExpiresAt.Equal(want) {
			t.Errorf("%s gives up at %v, want the ordinary lifetime, %v", id, got.ExpiresAt, want)
		}
	}
	if got := one(t, s, backlog.Notice, ""); got.Requires != "authenticated" {
		t.Error("a delivery that was not named was lowered")
	}
	e := entries(t, s)[0]
	if e.Action != "queue release --lower" || e.Count != 2 || !strings.Contains(e.Before, "dr@clinic.test authenticated (clinic)") ||
		!strings.Contains(e.After, "dr@clinic.test plaintext") {
		t.Errorf("entry %+v", e)
	}
	if !slices.Contains(rec.kicked, queue.NewSiteKey("mx:clinic.test", policy.Requirement{})) {
		t.Errorf("kicked %v", rec.kicked)
	}
	broken := New(Config{Store: store, Ledger: noLedger{}, Rules: s.cfg.Rules})
	if _, err := broken.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Release, Lower: true, All: true}); err == nil {
		t.Error("lowered without an audit trail")
	}
	if got := one(t, s, backlog.Notice, ""); got.Requires != "authenticated" || got.State != "held" || got.NextAttemptAt != nil {
		t.Errorf("what could not be recorded was changed: %s, %s, next %v", got.Requires, got.State, got.NextAttemptAt)
	}
}

func TestLoweringStopsAtWhatTheConfigurationDemands(t *testing.T) {
	s, store, _ := service(t)
	s = changed(s, func(c *Config) {
		c.Rules = backlog.Keeper(t, store, route.Own{Domain: mail.MustDomain("clinic.test"), Require: policy.Encrypted})
	})
	out, err := s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Release, Lower: true, Messages: []string{string(backlog.Untried)}})
	if err != nil || out.Changed != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := one(t, s, backlog.Untried, ""); got.Requires != "encrypted" {
		t.Errorf("requires %s", got.Requires)
	}
	out, err = s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Release, Lower: true, Messages: []string{string(backlog.Untried)}})
	if err != nil || out.Changed != 0 {
		t.Errorf("lowered again: %+v, %v", out, err)
	}
}

// noLedger cannot be written.
type noLedger struct{ audit.Ledger }

var errDisk = errors.New("the disk is gone")

func (noLedger) Append(context.Context, audit.Entry) error                  { return errDisk }
func (noLedger) Rules(context.Context) (audit.Revision, error)              { return audit.Revision{}, errDisk }
func (noLedger) Entries(context.Context, int64, int) ([]audit.Entry, error) { return nil, errDisk }
func (noLedger) Revision(context.Context, int64) (audit.Revision, error) {
	return audit.Revision{}, errDisk
}
func (noLedger) Revisions(context.Context, int64, int) ([]audit.Revision, error) {
	return nil, errDisk
}
func (noLedger) AppendRules(context.Context, string, audit.Entry) (audit.Revision, error) {
	return audit.Revision{}, errDisk
}

func TestAChangeThatCannotBeRecordedSaysSo(t *testing.T) {
	s, store, rec := service(t)
	s = changed(s, func(c *Config) { c.Ledger = noLedger{} })
	if _, err := s.For(access.Root("ann")).Act(t.Context(), waiting.ActRequest{Kind: queue.Retry, All: true}); !errors.Is(err, scope.ErrNotRecorded) {
		t.Errorf("got %v", err)
	}
	if !slices.ContainsFunc(rec.events, func(e event.Event) bool { w, ok := e.(event.Warned); return ok && w.What == "audit" }) {
		t.Error("nobody was warned")
	}
	_ = store
}

func TestUnreadableRulesAreNeverNoRules(t *testing.T) {
	k := inforce.NewKeeper(t.Context(), inforce.Config{Ledger: noLedger{}})
	if set, _, err := k.Current(); set != nil || !errors.Is(err, inforce.ErrNoRules) {
		t.Errorf("set %v, error %v", set, err)
	}
	store := memstore.New()
	if _, err := store.AppendRules(t.Context(), "[[rule]]\nname = ", audit.Entry{By: "x"}); err != nil {
		t.Fatal(err)
	}
	k = inforce.NewKeeper(t.Context(), inforce.Config{Ledger: store})
	if set, _, err := k.Current(); set != nil || !errors.Is(err, inforce.ErrNoRules) {
		t.Errorf("a stored text that does not parse: set %v, error %v", set, err)
	}
	s := New(Config{Store: store, Ledger: store, Rules: k})
	if st, err := s.For(access.Root("ann")).Status(t.Context()); err != nil || st.Ready || st.RulesProblem == "" {
		t.Errorf("status %+v, %v", st, err)
	}
	if out, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Name: "new", Text: clinicRules}); err != nil || !out.Applied {
		t.Fatalf("a good file does not cure it: %+v, %v", out, err)
	}
	if set, n, err := k.Current(); err != nil || n != 2 || len(set.Rules()) != 1 {
		t.Errorf("revision %d, %v", n, err)
	}
}

func TestAReloadThatFailsKeepsTheOldRules(t *testing.T) {
	s, store, _ := service(t)
	if _, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Text: clinicRules}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.AppendRules(t.Context(), "broken = ", audit.Entry{By: "somebody else"}); err != nil {
		t.Fatal(err)
	}
	if err := s.cfg.Rules.Reload(t.Context()); !errors.Is(err, inforce.ErrNoRules) {
		t.Errorf("reload said %v", err)
	}
	if set, n, err := s.cfg.Rules.Current(); err != nil || n != 1 || len(set.Rules()) != 1 {
		t.Errorf("revision %d, %v: want the last good one", n, err)
	}
}

func TestApplyStoresSwapsAndTells(t *testing.T) {
	s, _, rec := service(t)
	r := ApplyRequest{Name: "rules.toml", Text: clinicRules, DryRun: true}
	out, err := s.For(access.Root("ann")).ApplyRules(t.Context(), r)
	if err != nil || out.Applied || len(out.Changes) != 1 || out.Changes[0].Kind != rulediff.Added || rec.changed != 0 {
		t.Fatalf("dry run: %+v, %v", out, err)
	}
	if _, n, _ := s.cfg.Rules.Current(); n != 0 || len(entries(t, s)) != 0 {
		t.Fatal("a dry run changed something")
	}
	r.DryRun = false
	if out, err = s.For(access.Root("ann")).ApplyRules(t.Context(), r); err != nil || !out.Applied || out.Revision != 1 || rec.changed != 1 {
		t.Fatalf("%+v, %v, dispatcher told %d times", out, err, rec.changed)
	}
	if e := entries(t, s)[0]; e.Action != "rules apply" || e.By != "ann" || !strings.HasPrefix(e.After, "+ clinic: scope \"outbound\", ") || e.Before != "revision 0" {
		t.Errorf("entry %+v", e)
	}
	if out, err = s.For(access.Root("ann")).ApplyRules(t.Context(), r); err != nil || out.Applied || out.Revision != 1 || len(entries(t, s)) != 2 || rec.changed != 2 {
		t.Errorf("the same file again: %+v, %v", out, err)
	}
	seen := int64(0)
	r.IfRevision, r.Text = &seen, "# none\n"
	if _, err := s.For(access.Root("ann")).ApplyRules(t.Context(), r); !errors.Is(err, ErrRevision) {
		t.Errorf("an outdated look: %v", err)
	}
	r.IfRevision = nil
	if out, err = s.For(access.Root("ann")).ApplyRules(t.Context(), r); err != nil || !out.Applied || len(out.Changes) != 1 || !out.Changes[0].Weaker {
		t.Errorf("removing the rule: %+v, %v", out, err)
	}
}

// goneLedger stores rules until its disk is gone.
type goneLedger struct {
	audit.Ledger
	gone bool
}

func (l *goneLedger) AppendRules(ctx context.Context, text string, e audit.Entry) (audit.Revision, error) {
	if l.gone {
		return audit.Revision{}, errDisk
	}
	return l.Ledger.AppendRules(ctx, text, e)
}

func TestABrokenFileLeavesTheOldRulesInForce(t *testing.T) {
	s, store, rec := service(t)
	l := &goneLedger{Ledger: store}
	s = changed(s, func(c *Config) { c.Rules = backlog.Keeper(t, l) })
	if _, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Text: clinicRules}); err != nil {
		t.Fatal(err)
	}
	_, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Name: "bad.toml", Text: "[[rule]]\nnmae = \"x\"\nscop = \"y\"\n"})
	broken, ok := errors.AsType[*rules.ParseError](err)
	if !ok || len(broken.Problems) < 2 {
		t.Fatalf("got %v, want every problem", err)
	}
	if set, n, err := s.cfg.Rules.Current(); err != nil || n != 1 || len(set.Rules()) != 1 || rec.changed != 1 {
		t.Errorf("revision %d, %v", n, err)
	}
	l.gone = true
	if _, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Text: "# none\n"}); !errors.Is(err, errDisk) {
		t.Errorf("a ledger that cannot be written: %v", err)
	}
	if _, n, err := s.cfg.Rules.Current(); err != nil || n != 1 {
		t.Errorf("rules that were not stored are in force: revision %d, %v", n, err)
	}
}

func TestExplainSaysWhyWithoutSending(t *testing.T) {
	s, _, _ := service(t)
	if _, err := s.For(access.Root("ann")).ApplyRules(t.Context(), ApplyRequest{Text: clinicRules}); err != nil {
		t.Fatal(err)
	}
	e, err := s.For(access.Root("ann")).Explain(t.Context(), ExplainRequest{From: "a@example.com", To: []string{"dr@Clinic.test", "x@plain.test", "b@example.com"}})
	if err != nil || len(e.Recipients) != 3 || e.Revision != 1 {
		t.Fatalf("%+v, %v", e, err)
	}
	if r := e.Recipients[0]; r.Requires != policy.Authenticated || !r.Matched || !slices.Equal(r.Rules, []string{"clinic"}) || r.Window != "24h" {
		t.Errorf("the recipient that matches: %+v", r)
	}
	if r := e.Recipients[1]; r.Requires != policy.Authenticated || r.Matched {
		t.Errorf("the one tainted by the unticked box: %+v", r)
	}
	if r := e.Recipients[2]; r.Requires != policy.Plaintext || !r.Own {
		t.Errorf("the one of our own: %+v", r)
	}
	if len(e.Rules) != 1 || !e.Rules[0].Matched || len(e.Rules[0].Fields) == 0 {
		t.Errorf("rules: %+v", e.Rules)
	}
	for _, r := range []ExplainRequest{{To: nil}, {To: []string{"x"}}, {From: "x", To: []string{"a@b.test"}}, {To: []string{"a@b.test"}, Client: "here"}} {
		if _, err := s.For(access.Root("ann")).Explain(t.Context(), r); !errors.Is(err, access.ErrBadRequest) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
