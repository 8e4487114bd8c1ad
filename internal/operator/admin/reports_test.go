package admin

import (
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/tlsreport"
	"postern/internal/history/tlscounts"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/reports"
	"postern/internal/operator/scope"
	"postern/internal/policy/tlsrpt"
)

// counted is a service that counted sessions with two domains today and one of them before.
func counted(t *testing.T, sends bool) *Service {
	t.Helper()
	s, store, _ := service(t)
	book := tlscounts.NewBook(store)
	today, before := tlscounts.Day(time.Now()), tlscounts.Day(time.Now().AddDate(0, 0, -5))
	one := func(day, domain string, isCopy bool) tlscounts.Counts {
		return tlscounts.Counts{Day: day, Domain: domain, Policies: []tlscounts.Policy{{Type: tlsrpt.TypeTLSA, Domain: "mx.clinic.test", Succeeded: 4, Failed: 1, Copy: isCopy,
			Failures: []tlscounts.Failure{{Result: tlsrpt.ValidationFailure, Code: "dane-mismatch", Sessions: 1}}}}}
	}
	if err := book.Add(t.Context(), []tlscounts.Counts{one(today, "clinic.test", false), one(today, "mx.clinic.test", true), one(before, "clinic.test", false)}); err != nil {
		t.Fatal(err)
	}
	out := &reports.Reporting{Counts: book, States: tlsreport.NewStates(store), Sends: sends,
		Author: tlsreport.Author{Organization: "Home", Contact: "a@home.test", From: mail.MustAddress("tls@home.test"), Gateway: mail.MustDomain("gw.home.test")}}
	return changed(s, func(c *Config) { c.Reporting = out })
}

func TestReportsAreListedWithWhereTheyStand(t *testing.T) {
	for sends, past := range map[bool]string{true: "missed", false: "off"} {
		d := counted(t, sends).For(everywhere(access.Auditor))
		all, err := d.Reports(t.Context(), "", scope.PageRequest{})
		if err != nil || len(all.Items) != 3 || all.Items[0].State != past || all.Items[1].State != "counting" || all.Items[1].Of != reports.OfRecipients || all.Items[2].Of != reports.OfMailHost {
			t.Errorf("%+v, %v", all, err)
		}
		if all.Items[1].Succeeded != 4 || all.Items[1].Failed != 1 {
			t.Errorf("%+v", all.Items[1])
		}
		first, err := d.Reports(t.Context(), "today", scope.PageRequest{Limit: 1})
		if err != nil || len(first.Items) != 1 || first.Items[0].Domain != "clinic.test" || first.Next == "" {
			t.Fatalf("%+v, %v", first, err)
		}
		second, err := d.Reports(t.Context(), "today", scope.PageRequest{Limit: 1, After: first.Next})
		if err != nil || len(second.Items) != 1 || second.Items[0].Domain != "mx.clinic.test" {
			t.Errorf("%+v, %v", second, err)
		}
		if none, err := d.Reports(t.Context(), "yesterday", scope.PageRequest{}); err != nil || len(none.Items) != 0 {
			t.Errorf("%+v, %v", none, err)
		}
	}
}

func TestAReportIsShownAsItWouldBeSent(t *testing.T) {
	d := counted(t, true).For(everywhere(access.Auditor))
	got, err := d.Report(t.Context(), "today", "Clinic.TEST.")
	if err != nil {
		t.Fatal(err)
	}
	reading, err := tlsrpt.Parse(got.Document)
	if err != nil || len(reading.Oddities) != 0 || reading.Report.Organization != "Home" || len(reading.Report.Policies) != 1 || reading.Report.Policies[0].Failures[0].Code != "dane-mismatch" ||
		reading.Report.ID != strings.ReplaceAll(got.Day, "-", "")+".clinic.test@gw.home.test" {
		t.Errorf("%+v, %v in %s", reading, err, got.Document)
	}
	for _, c := range [][2]string{{"today", "bank.test"}, {"yesterday", "clinic.test"}} {
		_, err := d.Report(t.Context(), c[0], c[1])
		refused(t, "nothing was counted", err, access.ErrNotFound)
	}
	for _, c := range [][2]string{{"", "clinic.test"}, {"29.11.2026", "clinic.test"}, {"2026-11-31", "clinic.test"}, {"today", ""}, {"today", "a b"}} {
		if _, err := d.Report(t.Context(), c[0], c[1]); err == nil {
			t.Errorf("%q is a day and a domain", c)
		}
	}
}

// Reports tell where the mail of all goes.
func TestAScopeSeesNoReports(t *testing.T) {
	s := counted(t, true)
	for _, p := range []access.Principal{within(access.Auditor, "clinic.test"), within(access.Administrator, "clinic.test")} {
		_, err := s.For(p).Reports(t.Context(), "", scope.PageRequest{})
		refused(t, "a scope lists", err, access.ErrForbidden)
		_, err = s.For(p).Report(t.Context(), "today", "clinic.test")
		refused(t, "a scope looks", err, access.ErrForbidden)
	}
}
