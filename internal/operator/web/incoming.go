package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/internal/operator/access"
	"postern/internal/operator/reports"
	"postern/internal/policy/rule"
)

// incomingView is who sends to us, and how.
type incomingView struct {
	reports.IncomingRequest
	reports.Incoming
	// Show is what is asked for, of a few words.
	Show string
	// Writes says that who looks may make rules.
	Writes bool
}

// Shown are the questions of the page.
func (incomingView) Shown() []rule.Choice {
	return []rule.Choice{{Value: "", Words: "everybody"}, {Value: "without", Words: "without TLS"},
		{Value: "1.2", Words: "with TLS older than 1.2, or without"},
		{Value: "1.3", Words: "with TLS older than 1.3, or without"},
		{Value: "refused", Words: "refused by a rule, or by one on trial"}}
}

// Rule is the address of the pane with a rule for a sender filled in. It is on trial where mail would be refused that
// comes now.
func (incomingView) Rule(s reports.IncomingSender) string {
	v := url.Values{"scope": {string(rule.Inbound)}, "action": {string(rule.RequireTLSAction)},
		"new":         {"inbound " + s.Domain},
		"description": {"mail from " + s.Domain + " comes in over TLS"}, "match.sender": {s.Domain + "\n*." + s.Domain}}
	if s.Domain == "<>" {
		v.Set("new", "inbound bounces")
		v.Set("description", "")
		v.Set("match.sender", "<>")
		if len(s.Ways) > 0 {
			v.Set("match.sender_ip", s.Ways[0].Client)
		}
	}
	oldest, plain := "", false
	for _, w := range s.Ways {
		version := strings.TrimPrefix(w.Version, "TLSv")
		switch {
		case w.Messages == 0:
		case version == "":
			plain = true
		case oldest == "" || version < oldest:
			oldest = version
		}
	}
	if slices.Contains([]string{"1.2", "1.3"}, oldest) {
		v.Set("require_tls.min_tls", oldest)
	}
	if plain || oldest == "" || oldest < "1.2" {
		v.Set("mode", string(rule.Test))
	}
	return "/rules/edit?" + v.Encode()
}

func (c *Console) incoming(r *request) error {
	q := r.URL.Query()
	v := incomingView{IncomingRequest: reports.IncomingRequest{Domain: q.Get("domain"), Days: reports.IncomingDays,
		Cipher: q.Get("cipher")}, Show: q.Get("show"), Writes: r.who.May(access.WriteRules)}
	if n, err := strconv.Atoi(q.Get("days")); err == nil && n > 0 {
		v.Days = min(n, 14)
	}
	switch v.Show {
	case "without":
		v.Without = true
	case "1.2", "1.3":
		v.Below = v.Show
	case "refused":
		v.Refused = true
	}
	var err error
	if v.Incoming, err = r.desk.Incoming(r.ctx(), v.IncomingRequest); err != nil {
		return err
	}
	return c.page(r, "incoming", "Who sends to us", v)
}
