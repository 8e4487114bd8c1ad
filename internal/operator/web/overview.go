package web

import (
	"time"

	"postern/internal/check"
	"postern/internal/history/traffic"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/figures"
	"postern/internal/operator/live"
	"postern/internal/operator/scope"
	"postern/internal/operator/servers"
	"postern/internal/operator/trace"
)

// overviewView is the first page.
type overviewView struct {
	Status   live.Status
	States   []string
	Troubles []live.SiteView
	More     int         // sites in trouble beyond those shown
	Whole    bool        // the principal sees everything
	Waiting  int         // deliveries that the principal sees, those that are held too
	Held     int         // of them
	Unseen   *unfinished // of what waits: there may be more in trouble
	Changes  []audit.Entry
	Recent   scope.Page[trace.Delivery]

	// Legs and Plot are empty for who does not see everything.
	Periods []figures.Period
	Period  figures.Period
	Legs    []figures.Leg
	Plot    figures.Plot

	Ending         []check.Own    // our own chains that end soon
	PartnersEnding []servers.Peer // those of servers that still show them
}

// shown on the first page.
const (
	troublesShown = 10
	recentShown   = 10
)

func (c *Console) overview(r *request) error {
	v := overviewView{Whole: r.who.Scope.All, States: []string{"queued", "sending", "held", "delivered", "failed",
		"cancelled"}}
	var err error
	if v.Status, err = r.desk.Status(r.ctx()); err != nil {
		return err
	}
	if err := v.figures(r); err != nil {
		return err
	}
	if err := v.ending(r); err != nil {
		return err
	}
	sites, err := r.desk.Sites(r.ctx(), glance)
	if err != nil {
		return err
	}
	v.Unseen = unseen(sites.Complete, sites.SearchedTo)
	v.Waiting, v.Held = sites.Waits()
	for _, s := range sites.Items {
		if s.InTrouble() {
			v.Troubles = append(v.Troubles, s)
		}
	}
	if len(v.Troubles) > troublesShown {
		v.More, v.Troubles = len(v.Troubles)-troublesShown, v.Troubles[:troublesShown]
	}
	if r.who.May(access.ReadAudit) {
		audit, err := r.desk.Audit(r.ctx(), scope.PageRequest{Limit: recentShown})
		if err != nil {
			return err
		}
		v.Changes = audit.Items
	}
	recent, err := r.desk.Traces(r.ctx(), trace.Query{}, scope.PageRequest{Limit: recentShown})
	if err != nil {
		return err
	}
	v.Recent = recent
	return c.page(r, "overview", "Overview", v)
}

// glance is how long a page looks for what it needs besides.
const glance = 200 * time.Millisecond

// unseen says that a search has not seen everything, nil that it has.
func unseen(complete bool, searchedTo *time.Time) *unfinished {
	if complete {
		return nil
	}
	return &unfinished{SearchedTo: searchedTo}
}

// unfinished is a search that ended before it had seen everything.
type unfinished struct {
	SearchedTo *time.Time // nil where that is not known
	More       string     // where it goes on, "" for nowhere
}

// figures fills in the sums.
func (v *overviewView) figures(r *request) error {
	if !r.who.Scope.All {
		return nil
	}
	now := time.Now()
	v.Periods, v.Period = figures.Periods(), figures.PeriodOf(r.FormValue("period"))
	sums, err := r.desk.Traffic(r.ctx(),
		traffic.Query{Kind: traffic.OfLeg, Since: now.Add(-v.Period.Back - v.Period.Step)})
	if err != nil {
		return err
	}
	v.Legs, v.Plot = figures.OfLegs(sums), figures.Draw(sums, v.Period, now)
	return nil
}

const (
	endingSoon  = 30 * 24 * time.Hour
	endingShown = 20
)

// ending fills in the certificates that end soon. Our own that cannot be read are a matter of their page.
func (v *overviewView) ending(r *request) error {
	own, err := r.desk.Certificates(r.ctx()) // who is limited to domains is not told
	if err == nil {
		for _, o := range own {
			if o.Step > 0 {
				v.Ending = append(v.Ending, o)
			}
		}
	}
	now := time.Now()
	v.PartnersEnding, err = r.desk.Expiring(r.ctx(), now.Add(-endingSoon), now.Add(endingSoon), endingShown)
	return err
}

// auditView is a page of the audit trail.
type auditView struct{ Page scope.Page[audit.Entry] }

func (c *Console) audit(r *request) error {
	page, err := r.desk.Audit(r.ctx(), scope.PageRequest{After: r.FormValue("after"), Limit: 100})
	if err != nil {
		return err
	}
	return c.page(r, "audit", "Audit trail", auditView{page})
}
