package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/internal/history/traffic"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/figures"
	"postern/internal/operator/live"
	"postern/internal/operator/mailhosts"
	"postern/internal/operator/past"
	"postern/internal/operator/policies"
	"postern/internal/operator/scope"
	"postern/internal/operator/servers"
	"postern/internal/operator/trace"
	"postern/internal/policy/mxpins"
)

// destinationsView is the servers that are remembered.
type destinationsView struct {
	Name   string
	Peers  []servers.Peer
	More   string      // the next page, "" at the end
	Unseen *unfinished // of the mail whose servers these are
	// Suggested are domains that a rule could protect at little cost; only without a search.
	Suggested []past.Suggestion
}

// peersShown bounds the servers of a page.
const peersShown = 100

func (c *Console) destinations(r *request) error {
	v := destinationsView{Name: strings.TrimSpace(r.FormValue("name"))}
	q := servers.PeerRequest{After: r.FormValue("after"), Limit: peersShown, Patience: glance}
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
	Peers []servers.Peer
	Pins  []mxpins.Pin
	// Strangers are names of mail hosts that were met or seen and that a rule does not trust.
	Strangers []mailhosts.Candidate
	Recent    []trace.Delivery
	Searched  *unfinished // not nil: there may be more mail
	Sites     []live.SiteView
	Unseen    *unfinished // not nil: more may wait
	Done      string
	// Plot is the mail of the last 30 days to a domain; nil where its sums are not the principal's to see.
	Plot *figures.Plot
	// Published is what mail found that it publishes, Unpublished that not all of that was looked at, and Policy the
	// MTA-STS policy that is kept; nil where it is a server, or the policy is not the principal's to see.
	Published   *past.Publications
	Unpublished *unfinished
	Policy      *policies.PolicyKept
	// CanCheck says that the principal may have servers checked, CanRule that they may write rules.
	CanCheck, CanRule bool
}

func (c *Console) destination(r *request) error {
	v := destinationView{Name: r.PathValue("name"), Done: c.done(r), CanCheck: r.who.May(access.RunChecks),
		CanRule: r.who.May(access.WriteRules)}
	peers, err := r.desk.Peers(r.ctx(), servers.PeerRequest{Names: []string{v.Name}, Limit: peersShown,
		Patience: glance})
	if err != nil {
		return err
	}
	v.Peers = peers.Items
	if err := v.figures(r); err != nil {
		return err
	}
	recent, err := r.desk.Traces(r.ctx(), trace.Query{Recipient: v.Name}, scope.PageRequest{Limit: 20})
	if err != nil {
		return err
	}
	v.Recent = recent.Items
	if v.Searched = unseen(recent.Complete, recent.SearchedTo); v.Searched != nil {
		v.Searched.More = "/trace?" + url.Values{"recipient": {v.Name}, "after": {recent.Next}}.Encode()
	}
	if hosts := hostsOf(v.Recent); len(hosts) > 0 && len(v.Peers) == 0 {
		if peers, err = r.desk.Peers(r.ctx(),
			servers.PeerRequest{Names: hosts, Limit: peersShown, Patience: glance}); err != nil {
			return err
		}
		v.Peers = peers.Items
	}
	if err := v.publications(r); err != nil {
		return err
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

// publications fills in what is published. A name that is no domain publishes nothing.
func (v *destinationView) publications(r *request) error {
	if _, err := mail.ParseDomain(v.Name); err != nil {
		return nil
	}
	found, err := r.desk.Publications(r.ctx(), v.Name, glance)
	if err != nil {
		return err
	}
	v.Published, v.Unpublished = &found, unseen(found.Complete, found.SearchedTo)
	// it may not be one's own to see, or nobody's
	if kept, err := r.desk.Policy(r.ctx(), v.Name, false); err == nil && kept.Mode != "" {
		v.Policy = &kept
	}
	return nil
}

// figures fills in the sums and the names of mail hosts.
func (v *destinationView) figures(r *request) error {
	sums, err := r.desk.Traffic(r.ctx(),
		traffic.Query{Kind: traffic.OfDomain, Name: v.Name, Since: time.Now().AddDate(0, 0, -31)})
	if err != nil {
		return err
	}
	if len(sums) > 0 || r.who.Scope.All {
		p := figures.Draw(sums, figures.PeriodOf("month"), time.Now())
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
		return access.BadRequest("the form cannot be read: %w", err)
	}
	out, err := r.desk.Approve(r.ctx(), mailhosts.ApproveRequest{Domain: name, Names: r.PostForm["name"]})
	if err != nil {
		return err
	}
	return c.toSay(r, "/destinations/"+url.PathEscape(name),
		fmt.Sprintf("%d names of mail hosts approved, %d deliveries tried again", len(out.Approved), out.Retried))
}
