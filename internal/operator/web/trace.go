package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/policy"
)

// traceView is a search and a page of what it found.
type traceView struct {
	Search url.Values
	Page   scope.Page[trace.Delivery]
	More   string // the same search, further back
	// Narrowed says that something is searched for, so that an empty page means "none found", not "no mail yet".
	Narrowed bool
	Before   bool // this is a page further back
	Reasons  []policy.Info
	// CanAct says that the principal may act on what waits among what is found; Back is this search.
	CanAct bool
	Back   string
	Done   string
	States []string
}

// query reads the search form.
func query(v url.Values) (trace.Query, error) {
	q := trace.QueryOf(v)
	if v.Get("state") == "waiting" {
		q.States = trace.WaitingStates()
	}
	// The one box takes what is at hand: an id of ours, a Message-ID, an address or a domain.
	switch any := strings.TrimSpace(v.Get("any")); {
	case any == "":
	case trace.LooksLikeID(any):
		q.Messages = []string{any}
	case strings.HasPrefix(any, "<") && any != "<>":
		q.MessageID = any
	default:
		q.Recipient = any
	}
	var err error
	if q.Since, err = moment(v.Get("since")); err != nil {
		return q, err
	}
	q.Until, err = moment(v.Get("until"))
	return q, err
}

// moment reads what a time field sends, as UTC, or RFC 3339.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, access.BadRequest("%q is no time; write 2026-11-23 or 2026-11-23T12:00", text)
}

func (c *Console) traces(r *request) error {
	v := traceView{Search: url.Values{}, Reasons: policy.Reasons(),
		States: []string{"waiting", "queued", "sending", "held", "delivered", "failed", "cancelled"}}
	for _, key := range append(trace.Parameters(), "any") {
		if text := strings.TrimSpace(r.FormValue(key)); text != "" {
			v.Search.Set(key, text)
			v.Narrowed = true
		}
	}
	v.CanAct, v.Back, v.Done = v.Narrowed && r.who.May(access.ActOnQueue), "/trace?"+v.Search.Encode(), c.done(r)
	q, err := query(v.Search)
	if err != nil {
		return err
	}
	v.Before = r.FormValue("after") != ""
	if v.Page, err = r.desk.Traces(r.ctx(), q, scope.PageRequest{After: r.FormValue("after")}); err != nil {
		return err
	}
	if v.Page.Next != "" {
		more := url.Values{"after": {v.Page.Next}}
		for key := range v.Search {
			more.Set(key, v.Search.Get(key))
		}
		v.More = "/trace?" + more.Encode()
	}
	return c.page(r, "traces", "Trace", v)
}

// messageView is one message and what happened to it, in order.
type messageView struct {
	admin.MessageView
	First    trace.Delivery // for what all its deliveries share
	Timeline []moved
	// More is where all deliveries are, where the page shows only the first.
	More  string
	Whole bool // the principal sees everything
}

// moved is one thing that happened.
type moved struct {
	At    time.Time
	Kind  string // accepted, attempt, finished, notice
	To    string
	Text  string
	Trace *trace.Delivery
	Try   *trace.Try // of an attempt
}

func (c *Console) message(r *request) error {
	view, err := r.desk.Message(r.ctx(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := messageView{First: view.Deliveries[0], Whole: r.who.Scope.All}
	if len(view.Deliveries) > rowsShown || len(view.Notices) > rowsShown {
		v.More = "/trace?message=" + url.QueryEscape(view.Message)
		view.Deliveries, view.Notices = view.Deliveries[:min(rowsShown, len(view.Deliveries))],
			view.Notices[:min(rowsShown, len(view.Notices))]
	}
	v.MessageView, v.Timeline = view, timeline(&view)
	return c.page(r, "message", "Message "+view.Message, v)
}

// timeline puts what happened to a message in order.
func timeline(view *admin.MessageView) []moved {
	var out []moved
	if view.AcceptedAt != nil {
		out = append(out, moved{At: *view.AcceptedAt, Kind: "accepted", Text: "accepted, under revision " +
			trace.RevisionName(view.Revision) + " of the rules"})
	}
	for i := range view.Deliveries {
		t := &view.Deliveries[i]
		for _, try := range trace.Tries(t) {
			out = append(out, moved{At: try.At, Kind: "attempt", To: t.To, Text: try.Text, Trace: t, Try: &try})
		}
		if t.FinishedAt != nil {
			out = append(out, moved{At: *t.FinishedAt, Kind: "finished", To: t.To, Text: t.State, Trace: t})
		}
	}
	for i := range view.Notices {
		t := &view.Notices[i]
		if t.AcceptedAt != nil {
			out = append(out, moved{At: *t.AcceptedAt, Kind: "notice", To: t.To, Text: t.Kind + ", now " + t.State,
				Trace: t})
		}
	}
	slices.SortStableFunc(out, func(a, b moved) int { return a.At.Compare(b.At) })
	return out
}

// evidenceJSON is the evidence about a message as a file to keep.
func (c *Console) evidenceJSON(r *request) error {
	e, err := r.desk.Evidence(r.ctx(), r.PathValue("id"))
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return file(r, "application/json", "message-"+e.Message+".json", append(text, '\n'))
}

// evidenceView is the evidence as a page for paper.
type evidenceView struct {
	admin.Evidence
	First    trace.Delivery
	Timeline []moved
	Chains   []chainView
}

// chainView is the certificates that one server showed.
type chainView struct {
	Host, IP string
	At       time.Time
	Chain    []policy.Certificate
}

func (c *Console) evidence(r *request) error {
	e, err := r.desk.Evidence(r.ctx(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := evidenceView{Evidence: e, First: e.Deliveries[0], Timeline: timeline(&e.MessageView),
		Chains: chains(&e.MessageView)}
	return c.page(r, "evidence", "Evidence about message "+e.Message, v)
}

// chains lists each chain that was shown, once.
func chains(view *admin.MessageView) (out []chainView) {
	seen := map[string]bool{}
	for i := range view.Deliveries {
		for _, a := range view.Deliveries[i].Attempts {
			for j := range a.Tries {
				t := &a.Tries[j]
				if t.Evidence == nil || len(t.Evidence.Chain) == 0 {
					continue
				}
				key := t.Host
				for _, one := range t.Evidence.Chain {
					key += " " + one.SHA256
				}
				if !seen[key] {
					seen[key] = true
					out = append(out, chainView{t.Host, t.IP.String(), t.At, t.Evidence.Chain})
				}
			}
		}
	}
	return out
}

// file sends something to be saved.
func file(r *request, kind, name string, content []byte) error {
	r.w.Header().Set("Content-Type", kind)
	r.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	r.w.WriteHeader(http.StatusOK)
	_, _ = r.w.Write(content) // the reader may have gone
	return nil
}
