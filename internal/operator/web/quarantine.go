package web

import (
	"net/url"
	"slices"
	"strings"

	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
)

// quarantineView is what rules hold.
type quarantineView struct {
	Search url.Values // quarantine, sender, recipient
	Held   []heldMessage
	Page   scope.Page[trace.Delivery]
	More   string // the same search, further back
	Before bool   // this is a page further back
	// Narrowed says that something is searched for.
	Narrowed        bool
	CanAct, CanRead bool
	Back, Done      string
}

// heldMessage is a message with those of its deliveries that one rule holds.
type heldMessage struct {
	trace.Delivery // the first of them
	To             []string
}

// ThenWord says what comes when nobody decides in time.
func (h heldMessage) ThenWord() string {
	return map[string]string{"return": "returned to the sender", "delete": "deleted, and nobody is told",
		"release": "released"}[h.Quarantine.Then]
}

func (c *Console) quarantine(r *request) error {
	v := quarantineView{Search: url.Values{"quarantine": {"*"}}, Done: c.done(r), Before: r.FormValue("after") != "",
		CanAct: r.who.May(access.ActOnQueue), CanRead: r.who.May(access.ReadContent)}
	for _, key := range []string{"quarantine", "sender", "recipient"} {
		if text := strings.TrimSpace(r.FormValue(key)); text != "" {
			v.Search.Set(key, text)
			v.Narrowed = true
		}
	}
	if v.Back = "/quarantine"; v.Narrowed {
		v.Back += "?" + v.Search.Encode()
	}
	q, err := query(v.Search)
	if err != nil {
		return err
	}
	if v.Page, err = r.desk.Traces(r.ctx(), q, scope.PageRequest{After: r.FormValue("after")}); err != nil {
		return err
	}
	v.Held = byMessage(v.Page.Items)
	if v.Page.Next != "" {
		v.More = with(v.Back, "after", v.Page.Next)
	}
	return c.page(r, "quarantine", "Quarantine", v)
}

// byMessage puts deliveries of one message that one rule holds into one row.
func byMessage(list []trace.Delivery) (out []heldMessage) {
	for _, t := range list {
		if n := len(out) - 1; n >= 0 && out[n].Message == t.Message && out[n].Quarantine.Rule == t.Quarantine.Rule {
			out[n].To = slices.Insert(out[n].To, 0, t.To) // the list begins with the newest
			continue
		}
		out = append(out, heldMessage{t, []string{t.To}})
	}
	return out
}
