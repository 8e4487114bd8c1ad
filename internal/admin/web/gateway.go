package web

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"postern/internal/access"
	"postern/internal/admin"
	"postern/internal/check"
	"postern/internal/ledger"
	"postern/internal/mxtrust"
	"postern/internal/traffic"
)

// overviewView is the first page.
type overviewView struct {
	Status   admin.Status
	States   []string
	Troubles []admin.SiteView
	More     int // sites in trouble beyond those shown
	Changes  []ledger.Entry
	Recent   []admin.Trace

	// Legs and Plot are empty for who does not see everything.
	Periods []period
	Period  period
	Legs    []legRow
	Plot    plot

	Ending         []check.Own  // our own chains that end soon
	PartnersEnding []admin.Peer // those of servers that still show them
}

// shown on the first page.
const (
	troublesShown = 10
	recentShown   = 10
)

func (c *Console) overview(r *request) error {
	v := overviewView{States: []string{"queued", "sending", "held", "delivered", "failed", "cancelled"}}
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
	sites, err := r.desk.Sites(r.ctx())
	if err != nil {
		return err
	}
	for _, s := range sites {
		if s.Failures > 0 {
			v.Troubles = append(v.Troubles, s)
		}
	}
	if len(v.Troubles) > troublesShown {
		v.More, v.Troubles = len(v.Troubles)-troublesShown, v.Troubles[:troublesShown]
	}
	if r.who.May(access.ReadAudit) {
		audit, err := r.desk.Audit(r.ctx(), admin.PageRequest{Limit: recentShown})
		if err != nil {
			return err
		}
		v.Changes = audit.Items
	}
	recent, err := r.desk.Traces(r.ctx(), admin.Query{}, admin.PageRequest{Limit: recentShown})
	if err != nil {
		return err
	}
	v.Recent = recent.Items
	return c.page(r, "overview", "Overview", v)
}

// figures fills in the sums.
func (v *overviewView) figures(r *request) error {
	if !r.who.Scope.All {
		return nil
	}
	now := time.Now()
	v.Periods, v.Period = periods(), periodOf(r.FormValue("period"))
	sums, err := r.desk.Traffic(r.ctx(), traffic.Query{Kind: traffic.OfLeg, Since: now.Add(-v.Period.Back - v.Period.Step)})
	if err != nil {
		return err
	}
	v.Legs, v.Plot = legs(sums), draw(sums, v.Period, now)
	return nil
}

const (
	endingSoon  = 30 * 24 * time.Hour
	endingShown = 20
)

// ending fills in the certificates that end soon. Our own that cannot be read are a matter of their page.
func (v *overviewView) ending(r *request) error {
	own, err := r.desk.Certificates(r.ctx())
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
type auditView struct{ Page admin.Page[ledger.Entry] }

func (c *Console) audit(r *request) error {
	page, err := r.desk.Audit(r.ctx(), admin.PageRequest{After: r.FormValue("after"), Limit: 100})
	if err != nil {
		return err
	}
	return c.page(r, "audit", "Audit trail", auditView{page})
}

// destinationsView is the servers that are remembered.
type destinationsView struct {
	Name  string
	Peers []admin.Peer
	Most  int // as many are shown
	// Suggested are domains that a rule could protect at little cost; only without a search.
	Suggested []admin.Suggestion
}

// peersShown bounds the servers of a page.
const peersShown = 200

func (c *Console) destinations(r *request) error {
	v := destinationsView{Name: r.FormValue("name"), Most: peersShown}
	var names []string
	if v.Name != "" {
		names = []string{v.Name}
	}
	var err error
	if v.Peers, err = r.desk.Peers(r.ctx(), names, peersShown); err != nil {
		return err
	}
	if v.Name == "" && r.who.Scope.All {
		if v.Suggested, err = r.desk.Suggestions(r.ctx()); err != nil {
			return err
		}
	}
	return c.page(r, "destinations", "Destinations", v)
}

// destinationView is what is known of a domain or a host.
type destinationView struct {
	Name  string
	Peers []admin.Peer
	Pins  []mxtrust.Pin
	// Strangers are names of mail hosts that were met or seen and that a rule does not trust.
	Strangers []admin.Candidate
	Recent    []admin.Trace
	Sites     []admin.SiteView
	Done      string
	// Plot is the mail of the last 30 days to a domain.
	Plot plot
	// CanCheck says that the principal may have it checked.
	CanCheck bool
}

func (c *Console) destination(r *request) error {
	v := destinationView{Name: r.PathValue("name"), Done: done(r), CanCheck: r.who.May(access.RunChecks)}
	var err error
	if v.Peers, err = r.desk.Peers(r.ctx(), []string{v.Name}, peersShown); err != nil {
		return err
	}
	sums, err := r.desk.Traffic(r.ctx(), traffic.Query{Kind: traffic.OfDomain, Name: v.Name, Since: time.Now().AddDate(0, 0, -31)})
	if err != nil {
		return err
	}
	v.Plot = draw(sums, periodOf("month"), time.Now())
	if r.who.Scope.All {
		if v.Pins, err = r.desk.Pins(r.ctx(), v.Name); err != nil {
			return err
		}
		if len(v.Pins) > 0 {
			found, err := r.desk.Candidates(r.ctx(), v.Name, false)
			if err != nil {
				return err
			}
			v.Strangers = found.Candidates
		}
	}
	recent, err := r.desk.Traces(r.ctx(), admin.Query{Recipient: v.Name}, admin.PageRequest{Limit: 20})
	if err != nil {
		return err
	}
	v.Recent = recent.Items
	if hosts := hostsOf(v.Recent); len(hosts) > 0 && len(v.Peers) == 0 {
		if v.Peers, err = r.desk.Peers(r.ctx(), hosts, peersShown); err != nil {
			return err
		}
	}
	sites, err := r.desk.Sites(r.ctx())
	if err != nil {
		return err
	}
	for _, s := range sites {
		if s.NextHop == "mx:"+v.Name {
			v.Sites = append(v.Sites, s)
		}
	}
	return c.page(r, "destination", v.Name, v)
}

// hostsOf lists the servers that deliveries were tried at, each once.
func hostsOf(list []admin.Trace) (out []string) {
	for i := range list {
		if host := list[i].MX; host != "" && !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	return out
}

func (c *Console) approve(r *request) error {
	name := r.PathValue("name")
	if err := r.ParseForm(); err != nil {
		return badRequest("the form cannot be read: %w", err)
	}
	out, err := r.desk.Approve(r.ctx(), admin.ApproveRequest{Domain: name, Names: r.PostForm["name"]})
	if err != nil {
		return err
	}
	return to(r, "/destinations/"+url.PathEscape(name)+"?done="+url.QueryEscape(fmt.Sprintf("%d names of mail hosts approved, %d deliveries tried again", len(out.Approved), out.Retried)))
}
