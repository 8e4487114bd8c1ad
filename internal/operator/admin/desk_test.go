package admin

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

func everywhere(role access.Role) access.Principal {
	return access.Principal{Name: "ann", Role: role, Scope: access.Scope{All: true}, Way: access.BySession, FreshUntil: time.Now().Add(time.Hour)}
}

func within(role access.Role, domains ...string) access.Principal {
	p := everywhere(role)
	p.Scope = access.Scope{}
	for _, d := range domains {
		p.Scope.Domains = append(p.Scope.Domains, mail.MustDomain(d))
	}
	return p
}

func refused(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// pages reads a list page by page.
func pages(t *testing.T, d *Desk, q trace.Query, limit int) (out []trace.Delivery) {
	t.Helper()
	for p := (scope.PageRequest{Limit: limit}); ; {
		page, err := d.Traces(t.Context(), q, p)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > limit {
			t.Fatalf("%d on a page of %d", len(page.Items), limit)
		}
		out = append(out, page.Items...)
		if page.Next == "" {
			return out
		}
		p.After = page.Next
	}
}

func TestPagesTogetherAreTheWholeList(t *testing.T) {
	s, _, _ := service(t)
	want := traces(t, s, trace.Query{})
	for limit := 1; limit <= len(want)+1; limit++ {
		got := pages(t, s.For(everywhere(access.Auditor)), trace.Query{}, limit)
		if !slices.EqualFunc(got, want, func(a, b trace.Delivery) bool { return a.Delivery == b.Delivery }) {
			t.Errorf("pages of %d give %d deliveries, want %d", limit, len(got), len(want))
		}
	}
	if _, err := s.For(everywhere(access.Auditor)).Traces(t.Context(), trace.Query{}, scope.PageRequest{After: "?"}); !errors.Is(err, access.ErrBadRequest) {
		t.Errorf("a cursor that is none: %v", err)
	}
}

// No answer holds an address of which neither the mail's sender nor its recipient is in the scope.
func TestAScopeShowsNothingOfOthers(t *testing.T) {
	s, _, _ := service(t)
	if _, err := s.For(access.Root("root")).ApplyRules(t.Context(), ApplyRequest{Name: "f", Text: clinicRules}); err != nil {
		t.Fatal(err)
	}
	addresses := regexp.MustCompile(`[a-z]+@[a-z.]+`)
	d := s.For(within(access.Operator, "clinic.test"))
	list := pages(t, d, trace.Query{}, 3)
	if len(list) != 2 {
		t.Errorf("%d deliveries, want the two to clinic.test", len(list))
	}
	sites, err := d.Sites(t.Context(), time.Second)
	if err != nil || len(sites.Items) != 1 || sites.Items[0].NextHop != "mx:clinic.test" || sites.Items[0].Waiting != 2 || !sites.Complete {
		t.Errorf("sites %+v, %v", sites, err)
	}
	status, err := d.Status(t.Context())
	if err != nil || len(status.Queue) != 0 {
		t.Errorf("status %+v, %v", status, err)
	}
	view, err := d.Message(t.Context(), string(backlog.Waiting))
	if err != nil || len(view.Deliveries) != 1 {
		t.Errorf("message %+v, %v", view, err)
	}
	ruled, err := d.Rules(t.Context())
	if err != nil || len(ruled.Rules) != 0 || ruled.Text != "" {
		t.Errorf("rules %+v, %v", ruled, err)
	}
	audit, err := d.Audit(t.Context(), scope.PageRequest{})
	if err != nil || len(audit.Items) != 0 {
		t.Errorf("audit %+v, %v", audit, err)
	}
	text, err := json.Marshal([]any{list, sites, status, view, ruled, audit})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses.FindAllString(string(text), -1) {
		if !strings.HasSuffix(a, "@clinic.test") && !strings.HasSuffix(a, "@example.com") {
			t.Errorf("%s is shown", a)
		}
	}
	for _, id := range []queue.ID{backlog.Good, backlog.Refused, backlog.Stopped, "0fk3n0000000zzzz"} {
		_, err := d.Message(t.Context(), string(id))
		refused(t, string(id), err, access.ErrNotFound)
	}
}

func TestAScopeActsOnNothingOfOthers(t *testing.T) {
	s, _, _ := service(t)
	d := s.For(within(access.Operator, "clinic.test"))
	act := func(r waiting.ActRequest) error {
		r.Kind = queue.Hold
		_, err := d.Act(t.Context(), r)
		return err
	}
	refused(t, "a message of others", act(waiting.ActRequest{Messages: []string{string(backlog.Ordinary)}}), access.ErrNotFound)
	refused(t, "a domain of others", act(waiting.ActRequest{Domains: []string{"other.test"}}), access.ErrNotFound)
	both := waiting.ActRequest{Kind: queue.Hold, Messages: []string{string(backlog.Ordinary), string(backlog.Waiting)}, Domains: []string{"other.test", "nosuch.test", "clinic.test"}}
	out, err := d.Act(t.Context(), both)
	if err != nil || !slices.Equal(out.Unknown, []string{"other.test", "nosuch.test", string(backlog.Ordinary)}) {
		t.Errorf("what is of others is as unknown as what is not there: %+v, %v", out, err)
	}
	if err := act(waiting.ActRequest{All: true}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[queue.ID]string{backlog.Waiting: "held", backlog.Untried: "held", backlog.Ordinary: "queued"} {
		for _, tr := range traces(t, s, trace.Query{Messages: []string{string(id)}, States: trace.WaitingStates()}) {
			if tr.State != want {
				t.Errorf("%s to %s is %s, want %s", id, tr.To, tr.State, want)
			}
		}
	}
	if e := entries(t, s)[0]; e.By != "ann" || e.Action != "queue hold" {
		t.Errorf("entry %+v", e)
	}
}

func TestRolesAndProofs(t *testing.T) {
	s, _, _ := service(t)
	auditor, operator := s.For(everywhere(access.Auditor)), s.For(everywhere(access.Operator))
	stale := everywhere(access.Administrator)
	stale.FreshUntil = time.Now().Add(-time.Second)
	late := s.For(stale)
	hold := waiting.ActRequest{Kind: queue.Hold, All: true}
	lower := waiting.ActRequest{Kind: queue.Release, Lower: true, All: true}
	do := func(d *Desk, r waiting.ActRequest) error {
		_, err := d.Act(t.Context(), r)
		return err
	}
	apply := func(d *Desk) error {
		_, err := d.ApplyRules(t.Context(), ApplyRequest{Name: "f", Text: clinicRules})
		return err
	}
	edit := func(d *Desk) error {
		_, err := d.EditRule(t.Context(), RuleEdit{Rule: clinicRules})
		return err
	}
	back := func(d *Desk) error {
		_, err := d.RollBack(t.Context(), 1, 0, false, false)
		return err
	}
	refused(t, "an auditor holds", do(auditor, hold), access.ErrForbidden)
	refused(t, "an operator lowers", do(operator, lower), access.ErrForbidden)
	refused(t, "an administrator lowers late", do(late, lower), access.ErrStale)
	for name, d := range map[string]*Desk{"auditor": auditor, "operator": operator} {
		refused(t, name+" applies", apply(d), access.ErrForbidden)
		refused(t, name+" edits", edit(d), access.ErrForbidden)
		refused(t, name+" rolls back", back(d), access.ErrForbidden)
	}
	refused(t, "an administrator applies late", apply(late), access.ErrStale)
	refused(t, "a local administrator applies a whole file", apply(s.For(within(access.Administrator, "example.com"))), access.ErrForbidden)
	if err := do(operator, hold); err != nil {
		t.Error(err)
	}
	if err := apply(s.For(everywhere(access.Administrator))); err != nil {
		t.Error(err)
	}
	var nobody access.Principal
	_, err := s.For(nobody).Traces(t.Context(), trace.Query{}, scope.PageRequest{})
	refused(t, "nobody looks", err, access.ErrForbidden)
}

const twoRules = `# everybody's
[[rule]]
name = "all"
action = "force-tls"
[rule.match]
recipient = ["bank.test"]

# the office's own
[[rule]]
name = "office"
action = "force-tls"
[rule.match]
sender = ["office.test", "boss@office.test"]
recipient = ["partner.test"]
`

func TestALocalAdministratorEditsHisOwnRules(t *testing.T) {
	s, _, _ := service(t)
	if _, err := s.For(access.Root("root")).ApplyRules(t.Context(), ApplyRequest{Name: "f", Text: twoRules}); err != nil {
		t.Fatal(err)
	}
	d := s.For(within(access.Administrator, "office.test"))
	list, err := d.RuleList(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "office" {
		t.Fatalf("rules %+v, %v", list, err)
	}
	edit := func(name, text string) error {
		_, revision, _ := s.cfg.Rules.Current()
		_, err := d.EditRule(t.Context(), RuleEdit{Name: name, Rule: text, IfRevision: revision})
		return err
	}
	mine := "[[rule]]\nname = \"mine\"\naction = \"force-tls\"\n[rule.match]\nsender = [\"office.test\"]\n"
	refused(t, "another's rule", edit("all", mine), access.ErrNotFound)
	refused(t, "deleting another's rule", edit("all", ""), access.ErrNotFound)
	for _, sender := range []string{`"*.office.test"`, `"re:office.test"`, `"office.test", "bank.test"`, `"*"`, `"x@*"`, `"<>"`} {
		refused(t, sender, edit("", strings.Replace(mine, `"office.test"`, sender, 1)), access.ErrForbidden)
	}
	refused(t, "no sender", edit("", strings.Replace(mine, "[rule.match]\nsender = [\"office.test\"]\n", "", 1)), access.ErrForbidden)
	if err := edit("Office", mine); err != nil {
		t.Fatal(err)
	}
	view, err := s.For(access.Root("ann")).Rules(t.Context())
	if want := twoRules[:strings.Index(twoRules, "[[rule]]\nname = \"office\"")] + mine; err != nil || view.Text != want {
		t.Errorf("the file is\n%s\nwant\n%s", view.Text, want)
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	s, _, _ := service(t)
	d := s.For(everywhere(access.Administrator))
	if _, err := d.EditRule(t.Context(), RuleEdit{Rule: clinicRules}); err != nil {
		t.Fatal(err)
	}
	_, err := d.EditRule(t.Context(), RuleEdit{Name: "clinic", IfRevision: 0})
	refused(t, "an edit of what was", err, ErrRevision)
	_, err = d.RollBack(t.Context(), 1, 0, false, false)
	refused(t, "a roll back of what was", err, ErrRevision)
	_, err = d.EditRule(t.Context(), RuleEdit{Name: "none", IfRevision: 1})
	refused(t, "a rule that is not there", err, access.ErrNotFound)
	var broken *rules.ParseError
	if _, err := d.EditRule(t.Context(), RuleEdit{Rule: "[[rule]]\nname = \"x\"\nactoin = 1\n", IfRevision: 1}); !errors.As(err, &broken) || broken.Problems[len(broken.Problems)-1].Line != 3 {
		t.Errorf("a broken rule: %v", err)
	}
}

func TestRevisionsAndRollBack(t *testing.T) {
	s, _, _ := service(t)
	d := s.For(everywhere(access.Administrator))
	for _, text := range []string{clinicRules, twoRules, ""} {
		if _, err := s.For(access.Root("root")).ApplyRules(t.Context(), ApplyRequest{Name: "f", Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := d.Revisions(t.Context(), scope.PageRequest{Limit: 2})
	if err != nil || len(first.Items) != 2 || first.Items[0].Number != 3 || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	rest, err := d.Revisions(t.Context(), scope.PageRequest{Limit: 2, After: first.Next})
	if err != nil || len(rest.Items) != 1 || rest.Items[0].Number != 1 || rest.Next != "" {
		t.Fatalf("%+v, %v", rest, err)
	}
	view, err := d.Revision(t.Context(), 2)
	if err != nil || len(view.Changes) != 3 {
		t.Errorf("%+v, %v", view, err)
	}
	_, err = d.Revision(t.Context(), 9)
	refused(t, "a revision that is none", err, access.ErrNotFound)
	dry, err := d.RollBack(t.Context(), 2, 3, true, false)
	if err != nil || dry.Applied || len(dry.Changes) != 2 {
		t.Errorf("looking first: %+v, %v", dry, err)
	}
	done, err := d.RollBack(t.Context(), 2, 3, false, false)
	if err != nil || !done.Applied || done.Revision != 4 {
		t.Errorf("%+v, %v", done, err)
	}
	if now, err := s.For(access.Root("ann")).Rules(t.Context()); err != nil || now.Text != twoRules {
		t.Errorf("in force is %q, %v", now.Text, err)
	}
	if e := entries(t, s)[0]; e.Target != "revision 2" || e.By != "ann" {
		t.Errorf("entry %+v", e)
	}
}

func TestTheAuditTrailInPages(t *testing.T) {
	s, _, _ := service(t)
	for _, by := range []string{"root", "ann", "root", "ann", "ann"} {
		if _, err := s.For(access.Root(by)).Act(t.Context(), waiting.ActRequest{Kind: queue.Retry, All: true}); err != nil {
			t.Fatal(err)
		}
	}
	for who, want := range map[*access.Principal]int{new(everywhere(access.Auditor)): 5, new(within(access.Auditor, "clinic.test")): 3} {
		got, after := 0, ""
		for {
			page, err := s.For(*who).Audit(t.Context(), scope.PageRequest{Limit: 2, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Items {
				if got++; !who.Scope.All && e.By != "ann" {
					t.Errorf("an entry of %s is shown", e.By)
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if got != want {
			t.Errorf("%d entries, want %d", got, want)
		}
	}
}

func TestAMessageShowsItsNotices(t *testing.T) {
	s, _, _ := service(t)
	view, err := s.For(everywhere(access.Auditor)).Message(t.Context(), string(backlog.Waiting))
	if err != nil || len(view.Deliveries) != 2 || len(view.Notices) != 1 || view.Notices[0].Message != string(backlog.Notice) {
		t.Errorf("%+v, %v", view, err)
	}
}
