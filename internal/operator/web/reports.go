package web

import (
	"net/url"
	"strconv"

	"postern/internal/operator/reports"
	"postern/internal/operator/scope"
)

// reportsView is who could not reach us over TLS, and the reports that say so.
type reportsView struct {
	Summary        reports.ReceivedSummary
	Days           int
	Domain, Sender string
	Failing        bool
	List           []reports.ReceivedReport
	Unseen         *unfinished
	More           string
}

func (c *Console) reports(r *request) error {
	q := r.URL.Query()
	v := reportsView{Days: 14, Domain: q.Get("domain"), Sender: q.Get("sender"), Failing: q.Get("failing") != ""}
	if n, err := strconv.Atoi(q.Get("days")); err == nil && n > 0 {
		v.Days = min(n, 90)
	}
	var err error
	if v.Summary, err = r.desk.ReceivedSummary(r.ctx(), v.Days); err != nil {
		return err
	}
	page, err := r.desk.ReceivedReports(r.ctx(),
		reports.ReceivedQuery{Domain: v.Domain, Sender: v.Sender, Failing: v.Failing,
			PageRequest: scope.PageRequest{After: q.Get("after")}})
	if err != nil {
		return err
	}
	v.List = page.Items
	if page.Next != "" {
		next := url.Values{"after": {page.Next}}
		for _, name := range []string{"domain", "sender", "failing", "days"} {
			if text := q.Get(name); text != "" {
				next.Set(name, text)
			}
		}
		v.More = "/reports?" + next.Encode()
	}
	if v.Unseen = unseen(page.Complete, page.SearchedTo); v.Unseen != nil {
		v.Unseen.More = v.More
	}
	return c.page(r, "reports", "Reports", v)
}

func (c *Console) report(r *request) error {
	doc, err := r.desk.ReceivedReport(r.ctx(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.page(r, "report", "Report", doc)
}
