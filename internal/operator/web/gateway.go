package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/internal/check"
	"postern/internal/history/traffic"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/audit"
	"postern/internal/operator/trace"
	"postern/internal/policy/mxpins"
)

// overviewView is the first page.
type overviewView struct {
	Status   admin.Status
	States   []string
	Troubles []admin.SiteView
	More     int         // sites in trouble beyond those shown
	Whole    bool        // the principal sees everything
	Waiting  int         // deliveries that the principal sees, those that are held too
	Held     int         // of them
	Unseen   *unfinished // of what waits: there may be more in trouble
	Changes  []audit.Entry
	Recent   admin.Page[trace.Delivery]

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
	v := overviewView{Whole: r.who.Scope.All, States: []string{"queued", "sending", "held", "delivered", "failed", "cancelled"}}
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
type auditView struct{ Page admin.Page[audit.Entry] }

func (c *Console) audit(r *request) error {
	page, err := r.desk.Audit(r.ctx(), admin.PageRequest{After: r.FormValue("after"), Limit: 100})
	if err != nil {
		return err
	}
	return c.page(r, "audit", "Audit trail", auditView{page})
}

// destinationsView is the servers that are remembered.
type destinationsView struct {
	Name   string
	Peers  []admin.Peer
	More   string      // the next page, "" at the end
	Unseen *unfinished // of the mail whose servers these are
	// Suggested are domains that a rule could protect at little cost; only without a search.
	Suggested []admin.Suggestion
}

// peersShown bounds the servers of a page.
const peersShown = 100

func (c *Console) destinations(r *request) error {
	v := destinationsView{Name: strings.TrimSpace(r.FormValue("name"))}
	q := admin.PeerRequest{After: r.FormValue("after"), Limit: peersShown, Patience: glance}
	if v.Name != "" {
		q.Names = []string{v.Name}
	}
	list, err := r.desk.Peers(r.ctx(), q)
	if err != nil {
		return err
	}
	v.Peers, v.Unseen = list.Items, unseen(list.Complete, list.SearchedTo)
	if list.Next != "" {
		v.More = "/destinations?" + url.Values{"name": {v.Name}, "after": {list.Next}}.Encode()
	}
	if v.Name == "" && r.who.Scope.All && q.After == "" {
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
	Pins  []mxpins.Pin
	// Strangers are names of mail hosts that were met or seen and that a rule does not trust.
	Strangers []admin.Candidate
	Recent    []trace.Delivery
	Searched  *unfinished // not nil: there may be more mail
	Sites     []admin.SiteView
	Unseen    *unfinished // not nil: more may wait
	Done      string
	// Plot is the mail of the last 30 days to a domain; nil where its sums are not the principal's to see.
	Plot *plot
	// CanCheck says that the principal may have servers checked, CanRule that they may write rules.
	CanCheck, CanRule bool
}

func (c *Console) destination(r *request) error {
	v := destinationView{Name: r.PathValue("name"), Done: c.done(r), CanCheck: r.who.May(access.RunChecks), CanRule: r.who.May(access.WriteRules)}
	peers, err := r.desk.Peers(r.ctx(), admin.PeerRequest{Names: []string{v.Name}, Limit: peersShown, Patience: glance})
	if err != nil {
		return err
	}
	v.Peers = peers.Items
	if err := v.figures(r); err != nil {
		return err
	}
	recent, err := r.desk.Traces(r.ctx(), admin.Query{Recipient: v.Name}, admin.PageRequest{Limit: 20})
	if err != nil {
		return err
	}
	v.Recent = recent.Items
	if v.Searched = unseen(recent.Complete, recent.SearchedTo); v.Searched != nil {
		v.Searched.More = "/trace?" + url.Values{"recipient": {v.Name}, "after": {recent.Next}}.Encode()
	}
	if hosts := hostsOf(v.Recent); len(hosts) > 0 && len(v.Peers) == 0 {
		if peers, err = r.desk.Peers(r.ctx(), admin.PeerRequest{Names: hosts, Limit: peersShown, Patience: glance}); err != nil {
			return err
		}
		v.Peers = peers.Items
	}
	sites, err := r.desk.Sites(r.ctx(), glance)
	if err != nil {
		return err
	}
	v.Unseen = unseen(sites.Complete, sites.SearchedTo)
	for _, s := range sites.Items {
		if s.NextHop == "mx:"+v.Name {
			v.Sites = append(v.Sites, s)
		}
	}
	return c.page(r, "destination", v.Name, v)
}

// figures fills in the sums and the names of mail hosts.
func (v *destinationView) figures(r *request) error {
	sums, err := r.desk.Traffic(r.ctx(), traffic.Query{Kind: traffic.OfDomain, Name: v.Name, Since: time.Now().AddDate(0, 0, -31)})
	if err != nil {
		return err
	}
	if len(sums) > 0 || r.who.Scope.All {
		p := draw(sums, periodOf("month"), time.Now())
		v.Plot = &p
	}
	if !r.who.Scope.All {
		return nil
	}
	if v.Pins, err = r.desk.Pins(r.ctx(), v.Name); err != nil {
		return err
	}
	if len(v.Pins) == 0 {
		return nil
	}
	found, err := r.desk.Candidates(r.ctx(), v.Name, false)
	v.Strangers = found.Candidates
	return err
}

// hostsOf lists the servers that deliveries were tried at, each once.
func hostsOf(list []trace.Delivery) (out []string) {
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
	return c.toSay(r, "/destinations/"+url.PathEscape(name), fmt.Sprintf("%d names of mail hosts approved, %d deliveries tried again", len(out.Approved), out.Retried))
}
