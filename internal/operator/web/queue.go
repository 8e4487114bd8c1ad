package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"postern/internal/operator/access"
	"postern/internal/operator/live"
	"postern/internal/operator/waiting"
	"postern/internal/operator/websession"
	queues "postern/internal/queue"
)

// queueView is where mail waits.
type queueView struct {
	Sites  []live.SiteView
	More   string // the next page of them
	Count  int    // of all of them
	Total  int    // deliveries, those that are held too
	Held   int    // of them
	Unseen *unfinished
	// Waiting is what waits by age and rule.
	Waiting live.WaitingView
	Done    string // what the last action did
}

func (c *Console) queue(r *request) error {
	sites, err := r.desk.Sites(r.ctx(), glance)
	if err != nil {
		return err
	}
	// nothing to see or to do there
	sites.Items = slices.DeleteFunc(sites.Items, func(s live.SiteView) bool { return s.Waiting == 0 })
	v := queueView{Count: len(sites.Items), Done: c.done(r), Unseen: unseen(sites.Complete, sites.SearchedTo)}
	v.Total, v.Held = sites.Waits()
	if v.Sites, v.More, err = portion(sites.Items, r.FormValue("after"), "/queue"); err != nil {
		return err
	}
	if v.Waiting, err = r.desk.Waiting(r.ctx()); err != nil {
		return err
	}
	return c.page(r, "queue", "Queue", v)
}

// rowsShown bounds the rows of a list on a page.
const rowsShown = 100

// portion is a page of a list that is whole: what stands after so many, and where the next page is.
func portion[T any](list []T, after, path string) ([]T, string, error) {
	skip := 0
	if after != "" {
		var err error
		if skip, err = strconv.Atoi(after); err != nil || skip < 0 {
			return nil, "", access.BadRequest("%q is no place in this list", after)
		}
	}
	list = list[min(skip, len(list)):]
	if len(list) <= rowsShown {
		return list, "", nil
	}
	return list[:rowsShown], with(path, "after", strconv.Itoa(skip+rowsShown)), nil
}

// act carries out an action on a message, a recipient domain or everything.
func (c *Console) act(r *request) error {
	q := waiting.ActRequest{Kind: queues.ActionKind(r.FormValue("action")), Lower: r.FormValue("lower") != ""}
	switch {
	case r.FormValue("message") != "":
		q.Messages = []string{r.FormValue("message")}
	case r.FormValue("domain") != "":
		q.Domains = []string{strings.TrimSpace(r.FormValue("domain"))}
	default:
		q.All = r.FormValue("all") != ""
	}
	out, err := r.desk.Act(r.ctx(), q)
	if err != nil {
		return err
	}
	return c.acted(r, q, out)
}

// actOn carries out an action on what waits and fits a search.
func (c *Console) actOn(r *request) error {
	if err := r.ParseForm(); err != nil {
		return access.BadRequest("the form cannot be read: %w", err)
	}
	q, err := query(r.PostForm)
	if err != nil {
		return err
	}
	kind := queues.ActionKind(r.PostFormValue("action"))
	out, err := r.desk.ActOn(r.ctx(), q, kind)
	if err != nil {
		return err
	}
	return c.acted(r, waiting.ActRequest{Kind: kind}, out)
}

// acted goes back and says what was done.
func (c *Console) acted(r *request, q waiting.ActRequest, out waiting.ActResult) error {
	said := out.Say(&q)
	said[0] = fmt.Sprintf("%s: %s at %s", q.Kind, count(out.Changed, "delivery", "deliveries"),
		count(out.Sites, "site", "sites"))
	return c.toSay(r, websession.Local(r.FormValue("back")), strings.Join(said, ". "))
}
