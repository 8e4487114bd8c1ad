package admin

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/history/traffic"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
	"postern/internal/operator/hindsight"
	"postern/internal/operator/past"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/policy/rules"
)

func ruleText(name, to, more string) string {
	return "[[rule]]\nname = \"" + name + "\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"" + to + "\"]\n" + more
}

func TestAPreviewSaysWhatWouldHaveBecomeOfPastMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands before everything in the backlog
		s, _, _ := service(t)
		d := s.For(everywhere(access.Administrator))
		look := func(edit RuleEdit) past.Preview {
			t.Helper()
			p, err := d.Preview(t.Context(), edit, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		for _, c := range []struct {
			what, rule string
			to         string // of the only row
			outcome    hindsight.Outcome
			reason     policy.Reason
		}{
			{"no mail of that kind", ruleText("x", "nobody.test", ""), "", "", ""},
			{"what was authenticated", ruleText("x", "good.test", "[rule.force_tls]\nmx = \"any\"\nrevocation = \"off\"\n"), "p@good.test", hindsight.AsNow, ""},
			{"with revocation, which nobody asked", ruleText("x", "good.test", "[rule.force_tls]\nmx = \"any\"\n"), "p@good.test", hindsight.NotKnown, ""},
			{"with names that are remembered", ruleText("x", "good.test", "[rule.force_tls]\nrevocation = \"off\"\n"), "p@good.test", hindsight.NotKnown, ""},
			{"with a pin", ruleText("x", "good.test", "[rule.force_tls]\nmx = \"any\"\npins = [\"sha256:"+
				"0000000000000000000000000000000000000000000000000000000000000000\"]\n"), "p@good.test", hindsight.NotKnown, ""},
			{"of another name, by a certificate that is not kept", ruleText("x", "good.test", "[rule.force_tls]\nmx = \"any\"\nnames = [\"mail.else.test\"]\n"), "p@good.test", hindsight.NotKnown, ""},
			{"by a private CA", ruleText("x", "good.test", "[rule.force_tls]\nmx = \"any\"\ntrust = \"/ca.pem\"\n"), "p@good.test", hindsight.NotKnown, ""},
			{"that must be proven", ruleText("x", "good.test", "[rule.force_tls]\nmx = \"proven\"\n"), "p@good.test", hindsight.WouldWait, policy.MXUnproven},
			{"a plain server", ruleText("x", "x@plain.test", "[rule.force_tls]\nunspecified_recipients = \"opportunistic\"\n"), "x@plain.test", hindsight.WouldWait, policy.StartTLSNotOffered},
			{"a plain server, to be refused", ruleText("x", "x@plain.test", "[rule.force_tls]\nunspecified_recipients = \"opportunistic\"\nwithout_tls = \"reject\"\n"), "x@plain.test", hindsight.WouldReturn, policy.StartTLSNotOffered},
			{"what failed all the same", ruleText("x", "gone@plain.test", ""), "gone@plain.test", hindsight.AsNow, ""},
		} {
			p := look(RuleEdit{Rule: c.rule})
			if !p.Complete || !p.ByRecipient {
				t.Errorf("%s: looked at %+v", c.what, p)
			}
			if c.to == "" {
				if len(p.Rows) != 0 {
					t.Errorf("%s: %+v", c.what, p.Rows)
				}
				continue
			}
			if len(p.Rows) != 1 || p.Rows[0].To != c.to || p.Rows[0].Outcome != c.outcome || p.Rows[0].Reason != c.reason || p.Changed[c.outcome] != 1 ||
				p.Rows[0].After != "authenticated" || !slices.Equal(p.Rows[0].Rules, []string{"x"}) {
				t.Errorf("%s: %+v, %v", c.what, p.Rows, p.Changed)
			}
		}
		if p := look(RuleEdit{Rule: ruleText("x", "good.test", "") + "subject = [\"*x*\"]\n"}); !slices.Equal(p.Blind, []string{"match.subject"}) || len(p.Rows) != 0 {
			t.Errorf("a subject: %+v", p)
		}
	})
}

// Of a message with a named and an unnamed recipient, the box decides about the unnamed one.
func TestAPreviewKnowsTheBox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := service(t)
		d := s.For(everywhere(access.Administrator))
		for box, rows := range map[string]int{"force": 2, "opportunistic": 1} {
			p, err := d.Preview(t.Context(), RuleEdit{Rule: ruleText("x", "dr@clinic.test", "[rule.force_tls]\nunspecified_recipients = \""+box+"\"\n")}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			authenticated := 0
			for _, r := range p.Rows {
				if r.After == "authenticated" {
					authenticated++
				}
			}
			if authenticated != rows {
				t.Errorf("box %s: %+v", box, p.Rows)
			}
		}
	})
}

func TestWhoMayPreview(t *testing.T) {
	s, _, _ := service(t)
	edit := RuleEdit{Rule: ruleText("x", "good.test", "")}
	if _, err := s.For(everywhere(access.Auditor)).Preview(t.Context(), edit, time.Second); err != nil {
		t.Errorf("an auditor: %v", err)
	}
	_, err := s.For(within(access.Administrator, "clinic.test")).Preview(t.Context(), edit, time.Second)
	refused(t, "a rule beyond the scope", err, access.ErrForbidden)
	_, err = s.For(everywhere(access.Administrator)).Preview(t.Context(), RuleEdit{Name: "none", Rule: edit.Rule}, time.Second)
	refused(t, "a rule that is none", err, access.ErrNotFound)
	if _, err := s.For(everywhere(access.Administrator)).Preview(t.Context(), RuleEdit{Rule: "[[rule]]\n"}, time.Second); err == nil {
		t.Error("a broken rule is previewed")
	} else if _, ok := err.(*rules.ParseError); !ok {
		t.Errorf("a broken rule: %v", err)
	}
}

func TestSuggestionsAreDomainsThatCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store, _ := service(t)
		s = changed(s, func(c *Config) { c.Traffic = traffic.NewBook(store) })
		add := func(domain, level, outcome string, n int64, daysAgo int) {
			t.Helper()
			at := traffic.Bucket(traffic.OfDomain, time.Now().AddDate(0, 0, -daysAgo))
			if err := traffic.NewBook(store).AddTraffic(t.Context(), []traffic.Sum{{At: at, Kind: traffic.OfDomain, Name: domain, Level: level, Outcome: outcome, Count: n}}); err != nil {
				t.Fatal(err)
			}
		}
		add("always.test", "authenticated", "delivered", 40, 3)
		add("nearly.test", "authenticated", "delivered", 199, 3)
		add("nearly.test", "encrypted", "delivered", 1, 20)
		add("often.test", "authenticated", "delivered", 100, 3)
		add("often.test", "plaintext", "delivered", 5, 3)
		add("seldom.test", "authenticated", "delivered", 5, 3)
		add("once.test", "authenticated", "delivered", 100, 3)
		add("once.test", "plaintext", "delivered", 100, 40)
		add("ruled.test", "authenticated", "delivered", 100, 3)
		d := s.For(everywhere(access.Administrator))
		if _, err := s.For(access.Root("root")).ApplyRules(t.Context(), ApplyRequest{Text: ruleText("r", "ruled.test", "")}); err != nil {
			t.Fatal(err)
		}
		got, err := d.Suggestions(t.Context())
		want := []past.Suggestion{{Domain: "nearly.test", Total: 200, Cost: 1}, {Domain: "once.test", Total: 100, Cost: 0}, {Domain: "always.test", Total: 40, Cost: 0}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		_, err = s.For(within(access.Administrator, "always.test")).Suggestions(t.Context())
		refused(t, "a scope", err, access.ErrForbidden)
	})
}

// asked notes which counters were asked for.
type asked struct {
	records.Store
	queries []records.Query
}

func (a *asked) ReadRecords(ctx context.Context, do func(records.Reader) error) error {
	return a.Store.ReadRecords(ctx, func(r records.Reader) error { return do(noting{r, a}) })
}

type noting struct {
	records.Reader
	a *asked
}

func (n noting) Counters(q records.Query) ([]records.Counter, error) {
	n.a.queries = append(n.a.queries, q)
	return n.Reader.Counters(q)
}

// The days that are over are read once and not for each page: of thousands of domains they are hundreds of thousands of
// sums.
func TestSuggestionsReadTheDaysThatAreOverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store, _ := service(t)
		book := &asked{Store: store}
		s = changed(s, func(c *Config) { c.Traffic = traffic.NewBook(book) })
		d := s.For(everywhere(access.Administrator))
		add := func(daysAgo int) {
			t.Helper()
			at := traffic.Bucket(traffic.OfDomain, time.Now().AddDate(0, 0, -daysAgo))
			if err := traffic.NewBook(store).AddTraffic(t.Context(), []traffic.Sum{{At: at, Kind: traffic.OfDomain, Name: "always.test", Level: "authenticated", Outcome: "delivered", Count: 40}}); err != nil {
				t.Fatal(err)
			}
		}
		look := func(what string, total int64, queries int) {
			t.Helper()
			book.queries = nil
			got, err := d.Suggestions(t.Context())
			if want := []past.Suggestion{{Domain: "always.test", Total: total, Cost: 0}}; err != nil || !slices.Equal(got, want) || len(book.queries) != queries {
				t.Errorf("%s: %+v, %v of %d queries; want %+v of %d", what, got, err, len(book.queries), want, queries)
			}
			today := fmt.Sprintf("%010d", traffic.Bucket(traffic.OfDomain, time.Now()).Unix())
			if last := book.queries[len(book.queries)-1]; last.From != today || last.To != "" {
				t.Errorf("%s: today is read from %v to %q", what, last.From, last.To)
			}
		}
		add(3)
		add(29)
		add(30) // too long ago
		add(0)
		look("at midnight, when a count of yesterday may still come", 120, 2)
		look("still", 120, 2)
		time.Sleep(time.Minute)
		look("later", 120, 2)
		add(0)
		look("with the days before remembered", 160, 1)
		time.Sleep(24 * time.Hour)
		add(0)
		look("the next day", 160, 2)
		look("again", 160, 1)
	})
}

func TestAScopeSeesTheSumsOfItsOwn(t *testing.T) {
	s, store, _ := service(t)
	s = changed(s, func(c *Config) { c.Traffic = traffic.NewBook(store) })
	at := traffic.Bucket(traffic.OfDomain, backlog.Noon)
	for _, sum := range []traffic.Sum{{Kind: traffic.OfLeg, Name: string(event.OutWorld)}, {Kind: traffic.OfDomain, Name: "clinic.test"}, {Kind: traffic.OfDomain, Name: "other.test"},
		{Kind: traffic.OfRule, Name: "clinic"}} {
		sum.At, sum.Level, sum.Outcome, sum.Count = at, "encrypted", "delivered", 1
		if err := traffic.NewBook(store).AddTraffic(t.Context(), []traffic.Sum{sum}); err != nil {
			t.Fatal(err)
		}
	}
	narrow, wide := s.For(within(access.Auditor, "clinic.test")), s.For(everywhere(access.Auditor))
	count := func(d *Desk, kind traffic.Kind) int {
		t.Helper()
		list, err := d.Traffic(t.Context(), traffic.Query{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	_, err := narrow.Traffic(t.Context(), traffic.Query{Kind: traffic.OfLeg})
	refused(t, "legs", err, access.ErrForbidden)
	if count(narrow, traffic.OfDomain) != 1 || count(narrow, traffic.OfRule) != 0 || count(wide, traffic.OfDomain) != 2 || count(wide, traffic.OfRule) != 1 || count(wide, traffic.OfLeg) != 1 {
		t.Error("a scope sees more or less than its own")
	}
}
