package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"postern/internal/check"
	"postern/internal/operator/access"
	"postern/internal/operator/servers"
	"postern/internal/policy/rule"
)

// checkView is the form for a check, and what came of it.
type checkView struct {
	Target, Rule string
	Rules        []rule.Rule // that can be asked for
	CanRule      bool        // the principal may write one
	Problem      string
	Steps        []check.Progress
	Report       *check.Report
	Letter       string // to the other side, "" where nothing is theirs to mend
}

func (c *Console) checkForm(r *request) (v checkView, err error) {
	v = checkView{Target: strings.TrimSpace(r.FormValue("target")), Rule: r.FormValue("rule"),
		CanRule: r.who.May(access.WriteRules)}
	v.Rules, err = r.desk.RuleList(r.ctx())
	return v, err
}

func (c *Console) checkPage(r *request) error {
	v, err := c.checkForm(r)
	if err != nil {
		return err
	}
	return c.page(r, "check", "Check a server", v)
}

// check examines a target. Script asks for the steps as they happen, lines of JSON; without it the page comes when all
// is done.
func (c *Console) check(r *request) error {
	v, err := c.checkForm(r)
	if err != nil {
		return err
	}
	// not every writer can; then its own holds
	_ = http.NewResponseController(r.w).SetWriteDeadline(time.Now().Add(servers.CheckTime + time.Minute))
	if r.Header.Get("Accept") == streamType {
		return c.checkStream(r, v)
	}
	v.Report, err = r.desk.Check(r.ctx(), servers.CheckRequest{Target: v.Target, Rule: v.Rule},
		func(p check.Progress) { v.Steps = append(v.Steps, p) })
	code := http.StatusOK
	if err != nil {
		f := faultOf(told(r, err))
		code, v.Problem = f.Code, f.Text
	} else {
		v.Letter = check.Letter(v.Report, r.desk.Hostname())
	}
	c.render(r.w, &r.who, code, "check", "Check a server", v)
	return nil
}

// streamType is what script asks for.
const streamType = "application/x-ndjson"

// line is one line of a stream: a step, or the end with a part of a page, or what went wrong.
type line struct {
	Step    *check.Progress `json:"step,omitempty"`
	Done    string          `json:"done,omitempty"` // HTML
	Problem string          `json:"problem,omitempty"`
}

func (c *Console) checkStream(r *request, v checkView) error {
	r.w.Header().Set("Content-Type", streamType)
	enc, flush := json.NewEncoder(r.w), http.NewResponseController(r.w)
	send := func(l line) {
		_ = enc.Encode(l) // the reader may have gone
		_ = flush.Flush() // not every writer can; then it comes later
	}
	var err error
	v.Report, err = r.desk.Check(r.ctx(), servers.CheckRequest{Target: v.Target, Rule: v.Rule},
		func(p check.Progress) { send(line{Step: &p}) })
	if err != nil {
		send(line{Problem: faultOf(told(r, err)).Text})
		return nil
	}
	v.Letter = check.Letter(v.Report, r.desk.Hostname())
	var out strings.Builder
	if err := c.pages["check"].ExecuteTemplate(&out, "report", v); err != nil {
		return err
	}
	send(line{Done: out.String()})
	return nil
}
