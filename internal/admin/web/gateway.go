package web

import (
	"fmt"
	"net/url"

	"postern/internal/access"
	"postern/internal/admin"
	"postern/internal/ledger"
	"postern/internal/mxtrust"
)

// overviewView is the first page.
type overviewView struct {
	Status   admin.Status
	States   []string
	Troubles []admin.SiteView
	More     int // sites in trouble beyond those shown
	Changes  []ledger.Entry
	Recent   []admin.Trace
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
	return c.page(r, "destinations", "Destinations", v)
}

// destinationView is what is known of a domain or a host.
type destinationView struct {
	Name   string
	Peers  []admin.Peer
	Pins   []mxtrust.Pin
	Recent []admin.Trace
	Sites  []admin.SiteView
	Done   string
	// CanCheck says that the principal may have it checked.
	CanCheck bool
}

func (c *Console) destination(r *request) error {
	v := destinationView{Name: r.PathValue("name"), Done: done(r), CanCheck: r.who.May(access.RunChecks)}
	var err error
	if v.Peers, err = r.desk.Peers(r.ctx(), []string{v.Name}, peersShown); err != nil {
		return err
	}
	if r.who.Scope.All {
		if v.Pins, err = r.desk.Pins(r.ctx(), v.Name); err != nil {
			return err
		}
	}
	recent, err := r.desk.Traces(r.ctx(), admin.Query{Recipient: v.Name}, admin.PageRequest{Limit: 20})
	if err != nil {
		return err
	}
	v.Recent = recent.Items
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

func (c *Console) approve(r *request) error {
	name := r.PathValue("name")
	out, err := r.desk.Approve(r.ctx(), admin.ApproveRequest{Domain: name})
	if err != nil {
		return err
	}
	return to(r, "/destinations/"+url.PathEscape(name)+"?done="+url.QueryEscape(fmt.Sprintf("%d names of mail hosts approved, %d deliveries tried again", len(out.Approved), out.Retried)))
}
